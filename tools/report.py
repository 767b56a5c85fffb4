#!/usr/bin/env python
"""Write the results pages from run records and benchmarks."""

import sys
from argparse import Namespace
from pathlib import Path

from octfluid.utils.cli import ToolParser, exit_status_of


def parse_args() -> Namespace:
    """Parse the command line."""
    parser = ToolParser(
        'Write the results pages, their figures, results.json and the results block of the README from run records,\n'
        'and from the benchmarks in DIR/benchmarks (see tools/benchmark.py), if there are any.',
        'python tools/report.py docs/results/records --out docs/results',
    )
    parser.add_argument(
        'records', nargs='+', type=Path, metavar='RECORD_OR_DIR', help='run records, or folders searched for them'
    )
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder for the pages')
    parser.add_argument(
        '--readme',
        type=Path,
        metavar='FILE',
        help='README whose block between <!-- results:begin --> and '
        '<!-- results:end --> is rewritten (default: <root>/README.md if DIR is <root>/docs/results and the '
        'README has the block)',
    )
    return parser.parse_args()


def main() -> int | None:
    """Read the records, write the pages, and say what was written."""
    args = parse_args()
    from octfluid.records.record import read_records, to_run
    from octfluid.reporting.report import default_readme, write_report
    from octfluid.utils.atomic import require_folder
    from octfluid.utils.errors import InputError
    from octfluid.utils.lock import occupied

    records = read_records(args.records)
    runs = [to_run(path, record) for path, record in records]
    if not runs:
        raise InputError(f'{args.records[0]}: no run record there; expected those that tools/train.py and tools/test.py write')
    if (clash := (args.out / 'results.json').resolve()) in [path.resolve() for path, _ in records]:
        raise InputError(f'{clash}: a record where the report writes a file of its own; rename it, or choose another --out')
    for folder in (args.out, args.out / 'figures'):
        require_folder(folder, '--out')
    with occupied(args.out):
        results, files = write_report(runs, args.out, args.readme or default_readme(args.out))
    benchmarks = sum(map(len, results['speed'].values()))
    print(f'{len(runs)} run records read' + (f', {benchmarks} benchmarks' if benchmarks else ''))
    if left_out := results['estimates']['not_used']:
        print(f'{len(left_out)} of them with settings of their own, whose scores are not shown: {left_out[0][1]}')
    for label in results['repeated']:
        print(f'counted once, because there are two records of it: {label}')
    for path in files:
        print(f'wrote {path}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
