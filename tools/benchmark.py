#!/usr/bin/env python
"""Measure speed and memory against MMSegmentation as it is, and write the measurements as JSON."""

import argparse
import sys
from pathlib import Path

from octfluid.utils.cli import ToolParser, exit_status_of, positive_number

ROW10 = 'configs/table2/10_crop320_wd1e-4.py'
KINDS = {
    'train': ('training iterations a second; MONAI takes part if installed', ROW10, 5),
    'infer': ('scoring of the validation scans', ROW10, 3),
    'data': ('making of training samples', 'configs/hrf/pspnet.py', 7),
}


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = ToolParser(__doc__.strip(), 'python tools/benchmark.py train --iterations 3')
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    for kind, (text, config, repeats) in KINDS.items():
        sub = kinds.add_parser(kind, help=text, description=f'Measure: {text}.', example=f'python tools/benchmark.py {kind}')
        number = dict(type=positive_number, metavar='N')
        sub.add_argument('config', nargs='?', default=config, metavar='CONFIG', help='config file (default: %(default)s)')
        sub.add_argument('--repeats', **number, default=repeats, help='repetitions (default: %(default)s)')
        if kind == 'train':
            sub.add_argument('--iterations', **number, default=2, help='in a turn (default: %(default)s)')
        elif kind == 'infer':
            sub.add_argument('--checkpoint', metavar='FILE', help='weights for all (default: random ones)')
        else:
            sub.add_argument('--samples', **number, default=30, help='in a repetition (default: %(default)s)')
        out = 'work_dirs/benchmarks'
        sub.add_argument('--out', type=Path, default=out, metavar='DIR', help='folder (default: %(default)s)')
        sub.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings')
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write the record."""
    args = parse_args()
    from octfluid.engine.config import parse_options
    from octfluid.utils.atomic import require_file_names, require_folder, write_json

    sys.path.insert(0, str(Path(__file__).resolve().parent / 'analysis_tools'))
    import benchmarking

    require_folder(args.out, '--out')
    path = args.out / f'{args.kind}_{Path(args.config).stem}.json'
    require_file_names([path])
    options = parse_options(args.cfg_options)
    work = {'train': 'iterations', 'infer': 'checkpoint', 'data': 'samples'}[args.kind]
    measured = getattr(benchmarking, f'benchmark_{args.kind}')(args.config, options, getattr(args, work), args.repeats)
    record = benchmarking.benchmark_record(args.kind, args.config, options, measured)
    summary = record['summary']
    for name, found in {args.kind: summary}.items() if args.kind == 'data' else summary.items():
        median, least, most = (f'{found[f"ratio_{which}"]:.2f}' for which in ('median', 'min', 'max'))
        numbers = ', '.join(f'{key} {value:.4g}' for key, value in found.items() if not key.startswith('ratio'))
        print(f'{name}: {median} times stock ({least} to {most}), {numbers}')
    write_json(path, record)
    print(f'record: {path}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
