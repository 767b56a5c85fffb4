#!/usr/bin/env python
"""Make a data set of a folder of scans and a folder of masks, to score a model on, or to train on."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> int | None:
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

    from rich.console import Console
    from rich.progress import Progress

    from octfluid.datasets.folder_prepare import prepare_folder

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task('scans', total=None)
        summary = prepare_folder(
            args.images,
            args.masks,
            args.out,
            args.subject,
            lambda done, total: bar.update(task, completed=done, total=total),
            args.folds,
        )
    patients = f'{summary.subjects} patient{"s"[: summary.subjects > 1]}'
    print(f'{summary.scans} scans of {patients}, {summary.with_fluid} with fluid: {summary.out_dir}')
    if args.folds:
        print(f'splits: {", ".join(summary.splits)}')
    if summary.without_mask:
        print(f'left out, without a mask: {len(summary.without_mask)} (first: {summary.without_mask[0]})')
    if summary.without_scan:
        print(f'left out, masks without a scan: {len(summary.without_scan)} (first: {summary.without_scan[0]})')
    if summary.mostly_fluid:
        print(
            f'warning: {len(summary.mostly_fluid)} of the masks call more than half of their scan fluid (first: '
            f'{summary.mostly_fluid[0]}); is that the background?'
        )


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
