#!/usr/bin/env python
"""Count the parameters of a config's network and the operations that a forward pass and a test image take."""

import argparse
import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = ToolParser(
        'Count the parameters of a network, part by part, and the multiply-accumulate operations of one forward pass and of '
        'one test image. It takes neither data nor weights.',
        'python tools/analysis_tools/get_flops.py configs/table2/10_crop320_wd1e-4.py --shape 512 512',
    )
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument(
        '--shape', type=int, nargs=2, metavar=('H', 'W'),
        help='height and width of the forward pass in pixels (default: a window of slide inference, or the test image)',
    )  # fmt: skip
    parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings')
    args = parser.parse_args()
    if args.shape is not None and min(args.shape) < 1:
        parser.error(f'--shape {args.shape[0]} {args.shape[1]}: expected 1 or more')
    return args


def main() -> None:
    """Run the tool."""
    args = parse_args()
    from octfluid.engine.complexity import cost_lines, network_cost
    from octfluid.engine.config import load_config, parse_options

    cfg = load_config(args.config, parse_options(args.cfg_options))
    costs = network_cost(cfg, args.shape and tuple(args.shape))
    print(f'{args.config}: {cfg.model.type}, {cfg.model.backbone.type}, {cfg.model.decode_head.type}')
    print('\n'.join(cost_lines(*costs)))


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
