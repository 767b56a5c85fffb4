#!/usr/bin/env python
"""Check on real scans what tools/predict.py warns of, and what it measures; writes what docs/results/prediction.md shows."""

import sys
from argparse import Namespace
from pathlib import Path

from octfluid.utils.cli import ToolParser, exit_status_of


def parse_args() -> Namespace:
    """Parse the command line."""
    parser = ToolParser(
        'Check how often the warning of unlike scans is right (guard.json), and how far measured areas of Duke volumes are '
        'from those of the graders (areas.json).',
        'python tools/analysis_tools/check_prediction.py data/raw/duke --photographs data/raw/hrf/images '
        '--other-devices data/external/native/images --out docs/results/prediction',
    )
    parser.add_argument('duke', type=Path, metavar='DUKE_DIR', help='folder with Subject_*.mat')
    parser.add_argument('--photographs', type=Path, metavar='DIR', help='fundus photographs')
    parser.add_argument('--other-devices', type=Path, metavar='DIR', help='B-scans of other devices')
    parser.add_argument('--model', type=Path, metavar='FILE.onnx', help='exported model (default: the one of the package)')
    parser.add_argument(
        '--int8', type=Path, metavar='FILE.onnx', help='its twin of export_onnx.py --int8, to compare (int8.json)'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the files')
    return parser.parse_args()


def main() -> None:
    """Run the tool."""
    args = parse_args()
    from octfluid.engine.plan import device_name

    from octfluid.inference.checks import check_areas, check_guard, check_int8
    from octfluid.inference.predictor import Predictor
    from octfluid.io.scan import Spacing
    from octfluid.records.record import git_state
    from octfluid.reporting.prediction_page import SCHEMA
    from octfluid.utils.atomic import require_file_names, require_folder, write_json
    from octfluid.utils.errors import InputError

    require_folder(args.out, '--out')
    require_file_names(args.out / f'{kind}.json' for kind in ('guard', 'areas', 'int8'))
    files = sorted(args.duke.glob('Subject_*.mat'))
    if not files:
        raise InputError(f'{args.duke}: no Subject_*.mat there; expected the Duke DME data')
    predictor = Predictor(args.model)
    given = {'fundus photographs (HRF)': args.photographs, 'B-scans of other devices': args.other_devices}
    root = Path(__file__).resolve().parents[2]
    common = dict(schema=SCHEMA, git=git_state(root), weights_sha256=predictor.model.info.weights_sha256)
    guard = check_guard(predictor, files, {name: folder for name, folder in given.items() if folder})
    for group in guard:
        print(f'{group["scans"]}: warned of {group["warned"]} of {group["number"]}')
    areas = check_areas(predictor, files, Spacing(0.00387, 0.01133, 0.123))
    for subject in areas:
        print(f'subject {subject["subject"]}: {subject["fluid_mm3"]:.3f} mm3')
    write_json(args.out / 'guard.json', {**common, 'kind': 'guard', 'found': guard})
    write_json(args.out / 'areas.json', {**common, 'kind': 'areas', 'found': areas})
    if args.int8:
        found = check_int8(predictor, Predictor(args.int8), files)
        write_json(args.out / 'int8.json', {**common, 'kind': 'int8', 'device': device_name(), 'found': found})


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
