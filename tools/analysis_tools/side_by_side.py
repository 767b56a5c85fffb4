#!/usr/bin/env python
"""Put the pictures of one scan from several folders side by side, as in figures 5 and 6 of the paper."""

import argparse
import sys
from pathlib import Path

from octfluid.utils.cli import ToolParser, exit_status_of


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = ToolParser(
        'Put the pictures of one scan from several folders side by side, each enlarged to the width of the widest.',
        'python tools/analysis_tools/side_by_side.py s01_z30 data/duke_dme/paper_256/images overlays --out s01_z30.png',
    )
    parser.add_argument('scan', metavar='SCAN', help='name of the scan, without .png')
    parser.add_argument('folders', metavar='FOLDER', nargs='+', help='folder of scans, or of overlays by test.py --show-dir')
    parser.add_argument('--out', required=True, metavar='FILE', help='the .png to write')
    return parser.parse_args()


def main() -> None:
    """Run the tool."""
    args = parse_args()
    import numpy as np
    from PIL import Image

    from octfluid.io.images import load_picture
    from octfluid.io.results import write_png
    from octfluid.utils.atomic import atomic_path

    pictures = [load_picture(Path(folder, f'{args.scan}.png')).convert('RGB') for folder in args.folders]
    width = max(picture.width for picture in pictures)
    sized = [picture.resize((width, round(picture.height * width / picture.width))) for picture in pictures]
    stacked = Image.new('RGB', (width * len(sized), max(picture.height for picture in sized)))
    for place, picture in enumerate(sized):
        stacked.paste(picture, (place * width, 0))
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(Path(args.out)) as temporary:
        write_png(temporary, np.asarray(stacked))
    print(args.out)


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
