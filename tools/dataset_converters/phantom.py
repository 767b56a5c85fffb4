#!/usr/bin/env python
"""Make a data set of phantoms: toy B-scans with known fluid, for the quickstart and tests."""

import argparse
import re
import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def size(text: str) -> tuple[int, int]:
    """Parse HxW into (height, width)."""
    match = re.fullmatch(r'(\d+)[xX](\d+)', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r} is not a size; expected HEIGHTxWIDTH in pixels, such as 256x256')
    return int(match.group(1)), int(match.group(2))


def main() -> None:
    """Parse the arguments and write the data set."""
    parser = ToolParser(
        'Make a data set of phantoms (toy B-scans with known fluid) in the layout of a prepared data set.',
        'python tools/dataset_converters/phantom.py --out data/phantom',
    )
    parser.add_argument('--out', metavar='DIR', required=True, help='the data set to make; earlier phantoms are replaced')
    parser.add_argument('--subjects', type=int, default=6, metavar='N', help='the last third is held out (default: 6)')
    parser.add_argument('--slices', type=int, default=8, metavar='N', help='B-scans of each subject (default: 8)')
    parser.add_argument(
        '--size', type=size, default=(256, 256), metavar='HxW', help='in pixels, at least 64x64 (default: 256x256)'
    )
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='the same seed gives the same phantoms (default: 0)')
    args = parser.parse_args()

    from octfluid.datasets.prepare.phantom import write_phantom_dataset

    made = write_phantom_dataset(args.out, args.subjects, args.slices, *args.size, args.seed)
    print(f'{made.train + made.val} phantoms, {made.with_fluid} with fluid ({made.fluid_share:.2%} of all pixels)')
    print(f'{made.train} to train on, {made.val} of other subjects held out')
    print(f'images and masks: {args.out}/native')
    print(f'list of scans: {args.out}/index.csv    split: {args.out}/splits/heldout_{{train,val}}.txt')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
