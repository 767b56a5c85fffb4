#!/usr/bin/env python
"""Fine-tune (or train) a network as a config says, score it, and write a run record."""

import sys
from argparse import Namespace
from pathlib import Path

from octfluid.utils.cli import ToolParser, add_launcher, begin_launched, exit_status_of, seed_number


def parse_args() -> Namespace:
    """Parse the command line."""
    parser = ToolParser(
        'Train a config, score the last weights on the validation scans, and write a run record.',
        'python tools/train.py configs/table2/10_crop320_wd1e-4.py --amp auto --seed 0',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and the record (default: work_dirs/<config name>)')
    parser.add_argument('--resume', action='store_true', help='go on from the last checkpoint in the work folder')
    parser.add_argument(
        '--amp',
        nargs='?',
        const='on',
        choices=['on', 'auto'],
        help='mixed precision (bfloat16 on CPUs and recent GPUs, else float16); auto: only where it is faster on this machine',
    )
    parser.add_argument('--seed', type=seed_number, help='random seed (default: the configs say 0)')
    parser.add_argument('--deterministic', action='store_true', help='use deterministic kernels only')
    parser.add_argument('--split', help="split to train and validate on, such as paper or subject03 (default: the config's)")
    parser.add_argument('--init', help="initial weights: a file, a URL, or none for random ones (default: the config's)")
    parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings')
    add_launcher(parser)
    return parser.parse_args()


def main() -> None:
    """Run the tool."""
    args = parse_args()
    first = begin_launched(args)
    import octfluid.register  # noqa: F401  registers what configs name
    from octfluid.engine.config import load_config, parse_options
    from octfluid.engine.run import train
    from octfluid.records.record import read_record

    cfg = load_config(args.config, parse_options(args.cfg_options), split=args.split, init=args.init, seed=args.seed)
    work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    path = train(
        cfg, work_dir, amp=args.amp, resume=args.resume, deterministic=args.deterministic, launcher=args.launcher
    )  # fmt: skip
    if first and path:
        metrics = {key: value for key, value in read_record(path)['metrics'].items() if value is not None}
        print(' '.join(f'{key} {value:.4f}' for key, value in metrics.items()) or 'not scored: all scans were trained on')
        print(f'record: {path}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
