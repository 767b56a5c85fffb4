#!/usr/bin/env python
"""Convert the published HRF photographs and vessel masks into the data set that the configs read."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> None:
    """Parse the arguments and convert."""
    parser = ToolParser(
        'Copy the HRF photographs as they are, convert the vessel masks to 0/1, and write index.csv and the usual split.',
        'python tools/dataset_converters/hrf.py data/raw/hrf --out data/hrf',
    )
    parser.add_argument('raw_dir', metavar='RAW_DIR', help='folder with images and manual1, or the one above')
    parser.add_argument('--out', metavar='DIR', required=True, help='the data set to make; an earlier conversion is replaced')
    args = parser.parse_args()

    from octfluid.datasets.prepare.hrf import PUBLISHED, prepare

    made = prepare(args.raw_dir, args.out)
    train, val = len(made.split.train), len(made.split.val)
    print(f'{train + val} of the {PUBLISHED} photographs, from {made.folder}, {made.vessel_share:.2%} of their pixels vessel')
    print(f'{train} to train on, {val} to validate on')
    print(f'photographs and masks: {args.out}/native')
    print(f'list of photographs: {args.out}/index.csv    split: {args.out}/splits/usual_{{train,val}}.txt')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
