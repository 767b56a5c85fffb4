#!/usr/bin/env python
"""Convert the published Duke DME volumes (Subject_01.mat ... Subject_10.mat) into the data set that the configs read."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> None:
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

    from octfluid.datasets.prepare.duke_dme import prepare

    made = prepare(args.raw_dir, args.out, args.grader, args.allow_missing)
    print(f'{made.slices} slices, {made.graded} graded, {made.with_fluid} with fluid')
    if made.estimated:
        print(f'graded columns estimated for {made.estimated} scans: the files have no manualLayers{args.grader} for them')
    print(f'{len(made.sources)} subjects from {next(iter(made.sources.values())).parent}')
    print(f'256x256 as in the paper: {args.out}/paper_256    native size: {args.out}/native')
    print(f'list of scans: {args.out}/index.csv    splits: {args.out}/splits')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
