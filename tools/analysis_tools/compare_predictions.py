#!/usr/bin/env python
"""Draw what several networks predict on the same scans, side by side with the ground truth."""

import argparse
import sys
from pathlib import Path

from octfluid.utils.cli import ToolParser, exit_status_of

MOST_SCALE = 16  # at which a native scan is 8 by 12 thousand pixels


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = ToolParser(
        'Write one picture a scan: scan, the prediction of each network with its Dice and IoU on that scan, ground truth. '
        'Only these scans are predicted, as tools/test.py does.',
        'python tools/analysis_tools/compare_predictions.py \\\n'
        '      --model zero-shot configs/table1/pspnet.py ZERO_SHOT_CHECKPOINT \\\n'
        '      --model fine-tuned configs/table2/10_crop320_wd1e-4.py FINE_TUNED_CHECKPOINT --out pictures',
    )
    parser.add_argument(
        '--model', nargs=3, action='append', required=True, metavar=('NAME', 'CONFIG', 'CHECKPOINT'),
        help='a network and what to call it; can be given several times, in the order of the panels',
    )  # fmt: skip
    parser.add_argument(
        '--scan', action='append', default=[], metavar='NAME',
        help='such as s08_z23; can be given several times (default: the validation scan with most fluid)',
    )  # fmt: skip
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder for <scan>.png')
    parser.add_argument(
        '--split', metavar='NAME', help="split whose validation scans may be named, or all (default: the config's)"
    )
    parser.add_argument('--amp', action='store_true', help='predict in mixed precision')
    parser.add_argument('--scale', type=int, default=2, metavar='N', help='enlarge the scans N times (default: %(default)s)')
    args = parser.parse_args()
    if not 1 <= args.scale <= MOST_SCALE:
        parser.error(f'--scale {args.scale}: expected 1 or more, and at most {MOST_SCALE}')
    return args


def main() -> None:
    """Predict, draw, and say what was written."""
    args = parse_args()
    from octfluid.engine.compare import Network, compare
    from octfluid.utils.atomic import require_folder
    from octfluid.visualization.overlay import save_png
    from octfluid.visualization.panels import draw_panels

    require_folder(args.out, '--out')
    networks = [Network(*values) for values in args.model]
    for name, compared in compare(networks, args.scan, args.split, args.amp).items():
        path = args.out / f'{name}.png'
        save_png(path, draw_panels(name, compared.scan, compared.truth, compared.predictions, args.scale))
        print(f'wrote {path}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
