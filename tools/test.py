#!/usr/bin/env python
"""Score a checkpoint on a config's validation scans and write a run record."""

import sys
from argparse import Namespace
from pathlib import Path

from octfluid.utils.cli import ToolParser, add_launcher, begin_launched, exit_status_of


def parse_args() -> Namespace:
    """Parse the command line."""
    parser = ToolParser(
        'Score a checkpoint on the validation scans of a config and write a run record.',
        'python tools/test.py configs/table2/10_crop320_wd1e-4.py work_dirs/10_crop320_wd1e-4/iter_400.pth --show-dir overlays',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoints',
        nargs='+',
        metavar='checkpoint',
        help='a .pth file of MMSegmentation or of train.py; of several, the mean of their probabilities is scored',
    )
    parser.add_argument('--out', help='folder for the log and the record (default: work_dirs/<config name>/test)')
    parser.add_argument('--show-dir', help='also write one overlay picture per scan to this folder')
    parser.add_argument('--split', help="split whose validation scans are scored, or all (default: the config's)")
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average over each scan and its mirror image, or as tta_model and tta_pipeline of the config say',
    )
    parser.add_argument(
        '--amp', action='store_true', help='score in mixed precision: bfloat16 on CPUs and recent GPUs, else float16'
    )
    parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings')
    add_launcher(parser)
    return parser.parse_args()


def main() -> None:
    """Run the tool."""
    args = parse_args()
    first = begin_launched(args)
    import octfluid.register  # noqa: F401  registers what configs name
    from octfluid.engine.config import load_config, parse_options
    from octfluid.engine.run import test
    from octfluid.records.record import read_record

    cfg = load_config(args.config, parse_options(args.cfg_options), split=args.split)
    out = args.out or str(Path('work_dirs') / Path(args.config).stem / 'test')
    path = test(
        cfg, args.checkpoints, out, show_dir=args.show_dir, tta=args.tta, amp=args.amp, launcher=args.launcher
    )  # fmt: skip
    if not first or not path:
        return
    metrics = read_record(path)['metrics']
    print(' '.join(f'{key} {value:.4f}' for key, value in metrics.items() if value is not None))
    print(f'record: {path}')
    if args.show_dir:
        print(f'overlays: {args.show_dir}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
