#!/usr/bin/env python
"""Make a data set of a folder of scans and a folder of masks, to score a model on, or to train on."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of
from octfluid.utils.errors import InputError


def class_values(items: list[str]) -> dict[str, list[int]]:
    """Parse ``--classes``; InputError unless each is a name and values, each name and each value once."""
    classes: dict[str, list[int]] = {}
    for item in items:
        name, _, values = item.partition('=')
        taken = [number for others in classes.values() for number in others]
        numbers = [int(value) if value.isdecimal() else -1 for value in values.split(',')]
        if name in ('', 'background', *classes) or len({-1, *taken, *numbers}) <= len(taken + numbers):
            raise InputError(f'--classes {item}: expected NAME=VALUE[,VALUE], each name and each value once')
        classes[name] = numbers
    return classes


def main() -> None:
    """Parse the arguments and write the data set."""
    parser = ToolParser(
        'Make a data set of a folder of scans and a folder of masks of the same names (0, and 1 or 255 for fluid, unless '
        '--fluid or --classes say otherwise): one split, all, to score a model on; with --folds three more, by patient, to '
        'train on.',
        r"python tools/dataset_converters/folder.py scans/images scans/masks --out data/external --subject '(vol\d+)_\d+|(.+)'",
    )
    parser.add_argument('images', metavar='IMAGES', help='folder of gray scans')
    parser.add_argument('masks', metavar='MASKS', help='folder of masks with the names of the scans, or NAME_mask')
    parser.add_argument('--out', metavar='DIR', required=True, help='the data set to make; an earlier conversion is replaced')
    patients, values = parser.add_mutually_exclusive_group(), parser.add_mutually_exclusive_group()
    patients.add_argument('--subject', metavar='REGEX', help='first group of it names the patient in a name of a scan')
    patients.add_argument('--each-scan-is-a-patient', action='store_true', help='no patient has two scans')
    parser.add_argument('--folds', action='store_true', help='also divide the patients: splits fold1, fold2, fold3')
    values.add_argument('--fluid', nargs='+', type=int, metavar='VALUE', help='values of the masks that are fluid')
    values.add_argument('--classes', nargs='+', metavar='NAME=VALUE', help='several classes, such as irf=85 srf=170 ped=255')
    args = parser.parse_args()

    from octfluid.datasets.prepare.folder import prepare_folder

    classes = {'fluid': args.fluid} if args.fluid else class_values(args.classes) if args.classes else None
    subject = '(.+)' if args.each_scan_is_a_patient else args.subject
    made = prepare_folder(args.images, args.masks, args.out, subject, args.folds, classes)
    print(f'{made.scans} scans of {made.subjects} patients, {made.with_fluid} with fluid: {args.out}')
    if subject is None:
        print('each scan counts as a patient of its own; --subject says otherwise')
    print(f'splits: {", ".join(made.splits)}')
    if any(made.endings):
        print(f'pairs: NAME{made.endings[0]} and its mask NAME{made.endings[1]}')
    if made.jpeg:
        print(f'{made.jpeg} masks are JPEG: each of their pixels counts as the nearest of black, white and the given values')
    if classes:
        labels = ', '.join(f'{label} {name}' for label, name in enumerate(classes, start=1))
        print(f'labels: 0 background (every value that is not named), {labels}')
    for names, what in ((made.without_mask, 'scans without a mask'), (made.without_scan, 'masks without a scan')):
        if names:
            print(f'left out, {what}: {len(names)} (first: {names[0]})')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
