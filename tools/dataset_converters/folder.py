#!/usr/bin/env python
"""Make a data set of a folder of scans and a folder of masks, to score a model on, or to train on."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> None:
    """Parse the arguments and write the data set."""
    parser = ToolParser(
        'Make a data set of a folder of scans and a folder of masks of the same names (0, and 1 or 255 for fluid): one split, '
        'all, to score a model on; with --folds three more, by patient, to train on.',
        r"python tools/dataset_converters/folder.py scans/images scans/masks --out data/external --subject '(vol\d+)_\d+|(.+)'",
    )
    parser.add_argument('images', metavar='IMAGES', help='folder of gray scans')
    parser.add_argument('masks', metavar='MASKS', help='folder of masks with the names of the scans')
    parser.add_argument('--out', metavar='DIR', required=True, help='the data set to make; an earlier conversion is replaced')
    parser.add_argument(
        '--subject', metavar='REGEX', default='(.+)', help='first group of it names the patient (default: each scan its own)'
    )
    parser.add_argument('--folds', action='store_true', help='also divide the patients: splits fold1, fold2, fold3')
    args = parser.parse_args()

    from octfluid.datasets.prepare.folder import prepare_folder

    made = prepare_folder(args.images, args.masks, args.out, args.subject, args.folds)
    print(f'{made.scans} scans of {made.subjects} patients, {made.with_fluid} with fluid: {args.out}')
    print(f'splits: {", ".join(made.splits)}')
    for names, what in ((made.without_mask, 'scans without a mask'), (made.without_scan, 'masks without a scan')):
        if names:
            print(f'left out, {what}: {len(names)} (first: {names[0]})')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
