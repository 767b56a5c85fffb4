#!/usr/bin/env python
"""Convert the published HRF photographs and vessel masks into the data set that the configs read."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> int | None:
    """Parse the arguments and convert."""
    parser = ToolParser(
        'Copy the HRF photographs as they are, convert the vessel masks to 0/1, and write index.csv and the usual split.',
        'python tools/dataset_converters/hrf.py data/raw/hrf --out data/hrf',
    )
    parser.add_argument('raw_dir', metavar='RAW_DIR', help='folder with images and manual1, or the one above')
    parser.add_argument('--out', metavar='DIR', required=True, help='the data set to make; an earlier conversion is replaced')
    args = parser.parse_args()

    from rich.console import Console
    from rich.progress import Progress

    from octfluid.datasets.hrf_prepare import EYES, GROUPS, SIZE_DIR, SPLIT, prepare

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task('converting photographs', total=None)
        summary = prepare(args.raw_dir, args.out, lambda done, total: bar.update(task, completed=done, total=total))
    pairing, out = summary.pairing, summary.out_dir
    for line in pairing.left_out:
        print(f'left out: {line}')
    if pairing.absent:
        print(f'not there: {", ".join(pairing.absent)} of the {EYES * len(GROUPS)} published')
    print(f'{summary.train + summary.val} photographs from {pairing.folder}, {summary.vessel_share:.2%} of their pixels vessel')
    print(f'{summary.train} to train on, {summary.val} to validate on')
    print(f'photographs and masks: {out}/{SIZE_DIR}')
    print(f'list of photographs: {out}/index.csv    split: {out}/splits/{SPLIT}_{{train,val}}.txt')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
