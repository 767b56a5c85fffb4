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
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings, in both configs'
    )
    return parser.parse_args()


def main() -> None:
    """Run the tool."""
    args = parse_args()
    from octfluid.engine.config_difference import config_text, difference

    from octfluid.engine.config import load_config, parse_options
    from octfluid.records.fingerprint import config_sha256

    options = parse_options(args.cfg_options)
    paths = [path for path in (args.config, args.other) if path is not None]
    configs = [load_config(path, options) for path in paths]
    for path, cfg in zip(paths, configs, strict=True):
        print(f'# {path}: config_sha256 {config_sha256(cfg)}')
    if args.other is None:
        print(config_text(*configs), end='')
    else:
        print('\n'.join(difference(*configs) or ['no difference']))


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
