#!/usr/bin/env python
"""Check every file of the data set that a config trains on, and say what is wrong with each."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> int | None:
    """Parse the arguments, check, and print counts and problems."""
    parser = ToolParser(
        'Check every image, mask and list of the data set that a config uses.',
        'python tools/check_dataset.py configs/table2/10_crop320_wd1e-4.py --split train6-10_test1-5',
    )
    parser.add_argument('config', metavar='CONFIG', help='a config file')
    parser.add_argument('--split', metavar='NAME', help="split to check in place of the config's")
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', metavar='K=V', help='overrides of the config, such as data_root=DIR'
    )
    args = parser.parse_args()

    import octfluid.register  # noqa: F401  registers what configs name
    from octfluid.datasets.config_data import check_data, dataset_spec
    from octfluid.engine.config import load_config, parse_options
    from octfluid.utils.errors import InputError

    cfg = load_config(args.config, parse_options(args.cfg_options), split=args.split)
    spec = dataset_spec(cfg)
    foreground = ' or '.join(spec.classes[1:])
    report = check_data(cfg)
    size = f'{spec.size[0]}x{spec.size[1]} pixels' if spec.size else 'any size'
    print(f"{spec.root}/{spec.size_dir}, split '{spec.split}', {size}, classes {', '.join(spec.classes)}")
    for subset, counts in report.subsets.items():
        print(
            f'{subset}: {counts.images} images of {counts.subjects} subjects, {counts.with_fluid} with {foreground}, '
            f'{counts.fluid_share:.2%} of their pixels'
        )
    if report.problems:
        for problem in report.problems:
            print(problem, file=sys.stderr)
        raise InputError(f'{len(report.problems)} problem{"s"[: len(report.problems) > 1]} in {spec.root}, listed above')
    for warning in report.warnings:
        print(f'warning: {warning}')
    if shared := report.shared_subjects:
        print(f'note: {len(shared)} subjects are on both sides of this split ({", ".join(map(str, shared))})')
    print('sound: no problems found')
    return None


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
