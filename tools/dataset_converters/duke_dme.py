#!/usr/bin/env python
"""Convert the published Duke DME volumes (Subject_01.mat ... Subject_10.mat) into the data set that the configs read."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> int | None:
    """Parse the arguments and convert."""
    parser = ToolParser(
        'Convert the published Duke DME volumes into 256x256 and native images, masks, index.csv and splits.',
        'python tools/dataset_converters/duke_dme.py data/raw/duke --out data/duke_dme',
    )
    parser.add_argument('raw_dir', metavar='RAW_DIR', help='folder with Subject_01.mat ... Subject_10.mat, or the one above')
    parser.add_argument('--out', metavar='DIR', required=True, help='the data set to make; an earlier conversion is replaced')
    parser.add_argument('--grader', type=int, choices=(1, 2), default=1, help='whose annotation (default: 1, as the paper)')
    parser.add_argument('--allow-missing', action='store_true', help='go on when some of the ten subjects are missing')
    args = parser.parse_args()

    from rich.console import Console
    from rich.progress import Progress

    from octfluid.datasets.duke_prepare import prepare

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task('converting subjects', total=None)
        summary = prepare(
            args.raw_dir,
            args.out,
            args.grader,
            args.allow_missing,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(f'{summary.slices} slices, {summary.graded} graded, {summary.with_fluid} with fluid')
    print(f'{len(summary.subjects)} subjects from {summary.sources[0].parent}')
    print(f'256x256 as in the paper: {summary.out_dir}/paper_256    native size: {summary.out_dir}/native')
    print(f'list of scans: {summary.out_dir}/index.csv    splits: {summary.out_dir}/splits')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
