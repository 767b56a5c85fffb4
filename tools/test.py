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
        help='a .pth or .safetensors file of tensors; of several, the mean of their probabilities is scored',
    )
    parser.add_argument('--out', help='folder for the log and the record (default: work_dirs/<config name>/test)')
    parser.add_argument('--show-dir', help='also write one overlay picture per scan to this folder')
    parser.add_argument('--split', help="split whose validation scans are scored, or all (default: the config's)")
    parser.add_argument('--tta', action='store_true', help='average over each scan and its mirror image')
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
    from octfluid.engine.config import load_config, parse_options
    from octfluid.engine.training import Request, test
    from octfluid.records.record import read_record

    options = parse_options(args.cfg_options)
    cfg = load_config(args.config, options, split=args.split)
    out = args.out or str(Path('work_dirs') / Path(args.config).stem / 'test')
    request = Request(config=args.config, work_dir=out, overrides=options, launcher=args.launcher, amp=args.amp)
    path = test(cfg, request, args.checkpoints, args.show_dir, args.tta)
    if not first:
        return
    metrics = read_record(path)['metrics']
    print(' '.join(f'{key} {value:.4f}' for key, value in metrics.items() if value is not None))
    print(f'record: {path}')
    if args.show_dir:
        print(f'overlays: {args.show_dir}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
