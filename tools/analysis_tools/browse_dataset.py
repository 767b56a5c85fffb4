#!/usr/bin/env python
"""Draw the augmented images and masks that a config's network is given, as a contact sheet."""

import argparse
import sys
from pathlib import Path

from octfluid.utils.cli import ToolParser, exit_status_of, seed_number


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = ToolParser(
        'Write one picture of the samples that a training draws first (or that are scored first): each image as the network '
        'is given it before normalisation, and beside it the same with its mask coloured.',
        'python tools/analysis_tools/browse_dataset.py configs/table2/10_crop320_wd1e-4.py --seed 1 --number 6',
    )
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument(
        '--out', type=Path, metavar='FILE.png', help='the picture (default: work_dirs/browse/<config name>_<subset>.png)'
    )
    parser.add_argument('--split', metavar='NAME', help="split in place of the config's")
    parser.add_argument(
        '--subset', choices=('train', 'val'), default='train',
        help='samples of training or of scoring, each with its own pipeline (default: %(default)s)',
    )  # fmt: skip
    parser.add_argument('--number', type=int, default=12, metavar='N', help='scans, at most (default: %(default)s)')
    parser.add_argument(
        '--repeats', type=int, default=1, metavar='R',
        help='samples of each scan, one for each of the first R passes through the data (default: %(default)s)',
    )  # fmt: skip
    parser.add_argument('--seed', type=seed_number, metavar='N', help="seed of the training (default: the config's)")
    parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings')
    args = parser.parse_args()
    for name, least in (('number', 1), ('repeats', 1)):
        value = getattr(args, name)
        if value < least:
            parser.error(f'--{name} {value}: expected {least} or more')
    args.out = args.out or Path('work_dirs/browse', f'{Path(args.config).stem}_{args.subset}.png')
    if args.out.suffix != '.png' or args.out.is_dir():
        parser.error(f'--out {args.out}: expected a file name that ends in .png')
    return args


def main() -> None:
    """Draw, and say what was written."""
    args = parse_args()
    from octfluid.utils.atomic import require_folder

    require_folder(args.out.parent, '--out')
    from octfluid.engine.browse_sheet import contact_sheet
    from octfluid.engine.config import load_config, parse_options
    from octfluid.visualization.overlay import save_png

    cfg = load_config(args.config, parse_options(args.cfg_options), split=args.split, seed=args.seed)
    sheet = contact_sheet(cfg, args.subset, args.number, args.repeats)
    save_png(args.out, sheet)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
