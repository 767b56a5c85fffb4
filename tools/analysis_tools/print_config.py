#!/usr/bin/env python
"""Print a config with its bases merged and its defaults filled in, or what differs between two configs."""

import argparse
import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = ToolParser(
        'Print what a config comes to, as Python that is a config itself; with a second config, only what differs.',
        'python tools/analysis_tools/print_config.py configs/table2/06_crop320.py configs/table2/10_crop320_wd1e-4.py',
    )
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('other', nargs='?', metavar='OTHER', help='config file to compare with')
    parser.add_argument('--split', help='as for train.py')
    parser.add_argument('--init', help='as for train.py')
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings, in both configs'
    )
    return parser.parse_args()


def main() -> None:
    """Run the tool."""
    args = parse_args()
    from mmengine.config import Config

    import octfluid.register  # noqa: F401  registers what configs name
    from octfluid.engine.config import RUNNER_KEYS, load_config, parse_options
    from octfluid.records.fingerprint import config_sha256, flatten

    options = parse_options(args.cfg_options)
    settings = []
    for path in [args.config] + [args.other] * (args.other is not None):
        cfg = load_config(path, options, split=args.split, init=args.init)
        print(f'# {path}: config_sha256 {config_sha256(cfg)}')
        settings.append({key: value for key, value in cfg.to_dict().items() if key in RUNNER_KEYS})
    if args.other is None:
        print(Config(settings[0]).pretty_text, end='')
        return
    first, second = (dict(flatten(one)) for one in settings)
    lines = [
        f'{name}: {first.get(name, "not set")!r} -> {second.get(name, "not set")!r}'
        for name in sorted(first.keys() | second.keys())
        if repr(first.get(name, 'not set')) != repr(second.get(name, 'not set'))
    ]
    print('\n'.join(lines) or 'no difference')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
