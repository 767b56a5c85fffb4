"""Outline and measure fluid in scans, with an exported model; needs neither torch nor a config."""

import hashlib
import platform
import sys
import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import octfluid
from octfluid.errors import InputError, OctfluidError
from octfluid.tooling import ToolParser, exit_status_of, missing_package

if TYPE_CHECKING:
    from octfluid.inference.predictor import Prediction, Predictor, Settings
    from octfluid.io.readers import Input

SCHEMA = 'octfluid.prediction/1'


def _numbers(least: int, most: int, form: str) -> Any:
    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(part) for part in text.split(','))
        except ValueError:
            values = ()
        if not least <= len(values) <= most or not all(0 <= value < float('inf') for value in values):
            raise ArgumentTypeError(f'{text}: expected {form}')
        return values

    return parse


def parse_args() -> Namespace:
    """Parse and check the command line."""
    parser = ToolParser(
        'Outline fluid in OCT scans and measure it. Reads PNG, JPEG, BMP, TIFF, Duke .mat, DICOM, Heidelberg .vol, .e2e and '
        '.xml, Topcon .fda, NIfTI, and folders of them. For research only; not a medical device.',
        'python tools/predict.py scan.png volume.vol --out out\n'
        '  python tools/predict.py Subject_01.mat --out out --spacing 0.00387,0.01133,0.123',
    )
    parser.add_argument('inputs', nargs='+', type=Path, metavar='INPUT', help='scans, or folders of scans')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the results')
    parser.add_argument('--model', type=Path, metavar='FILE.onnx', help='exported model (default: the one of the package)')
    parser.add_argument('--volume', action='store_true', help='a folder is one volume of B-scans, not a batch of single ones')
    parser.add_argument('--recursive', action='store_true', help='also take what lies in folders below')
    parser.add_argument(
        '--spacing',
        type=_numbers(2, 3, 'AXIAL,LATERAL or AXIAL,LATERAL,SLICE in mm, such as 0.00387,0.01133,0.123'),
        metavar='AXIAL,LATERAL[,SLICE]',
        help="height and width of a pixel and distance between B-scans, in mm (default: the file's own, else nothing is in mm)",
    )
    parser.add_argument(
        '--threshold', type=float, metavar='P', help="fluid is where the probability exceeds this (default: the model's)"
    )
    parser.add_argument('--save-prob', action='store_true', help='also write the probabilities')
    parser.add_argument(
        '--fovea',
        type=_numbers(2, 2, 'BSCAN,COLUMN, counted from 0, such as 30,384'),
        metavar='BSCAN,COLUMN',
        help='where the fovea is, from 0: for the volume in each ETDRS sector',
    )
    parser.add_argument('--macula-centred', action='store_true', help='the fovea is in the middle of the volume')
    parser.add_argument(
        '--first-bscan',
        choices=('bottom', 'top'),
        default='bottom',
        help='which end of the eye a volume begins at (default: %(default)s)',
    )
    parser.add_argument('--laterality', choices=('OD', 'OS'), help='right or left eye (default: what the file says)')
    parser.add_argument(
        '--keep-identifiers', action='store_true', help='write names, dates and numbers of patients that files hold'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace results that are there')
    args = parser.parse_args()
    if args.fovea and args.macula_centred:
        parser.error('--fovea, --macula-centred: expected one of the two')
    if args.spacing and not all(args.spacing):
        parser.error('--spacing: expected lengths above 0')
    return args


def settings_of(args: Namespace) -> 'Settings':
    """Return what the user says of the scans."""
    from octfluid.inference.predictor import Settings
    from octfluid.io.scan import Spacing

    return Settings(
        spacing=Spacing(*args.spacing) if args.spacing else None,
        threshold=args.threshold,
        fovea=args.fovea,
        macula_centred=args.macula_centred,
        bottom_up=args.first_bscan == 'bottom',
        laterality=args.laterality,
    )


def _refuse_old_results(out: Path, inputs: Sequence['Input'], overwrite: bool) -> None:
    """Refuse to write over results, but for those of a call that was cut short."""
    from octfluid.inference.outputs import MANIFEST, MEASUREMENTS, TABLE, UNFINISHED

    if overwrite or (out / UNFINISHED).exists():
        return
    wanted = [out / name for name in (MANIFEST, MEASUREMENTS, TABLE)]
    for one in inputs:
        wanted += [out / f'{one.name}_mask.png', out / one.name / f'{Path(one.name).name}_mask.nii.gz']
    there = next((path for path in wanted if path.exists()), None)
    if there is not None:
        raise InputError(f'{there}: is there already; choose another --out, or --overwrite to replace it')


def sha256_of(path: Path) -> str:
    """Digest of a file or, over names and bytes, of the files of a folder."""
    digest = hashlib.sha256()
    if path.is_file():
        with open(path, 'rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    for part in sorted(part for part in path.iterdir() if part.is_file()):
        digest.update(part.name.encode() + b'\0' + part.read_bytes())
    return digest.hexdigest()


class Progress:
    """One line on a terminal that says what is being done and how long it will take."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.start = total, 0, time.monotonic()
        self.shown = sys.stderr.isatty()

    def show(self, name: str, place: int, frames: int) -> None:
        """Say which B-scan of which input is done."""
        if not self.shown:
            return
        share = (self.done + place / frames) / self.total
        left = (time.monotonic() - self.start) * (1 - share) / share if share else 0
        text = f'{self.done + 1} of {self.total}: {name}, B-scan {place} of {frames}, {left:.0f} s left'
        print(f'\r\x1b[K{text[:110]}', end='', file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away, so that another can be printed."""
        if self.shown:
            print('\r\x1b[K', end='', file=sys.stderr, flush=True)


def predict_input(
    predictor: 'Predictor', one: 'Input', args: Namespace, settings: 'Settings', progress: Progress
) -> Iterator[tuple[str, 'Prediction', list[str]]]:
    """Predict what an input holds and write the results of each scan; yields its name, the prediction and its files."""
    from octfluid.inference.outputs import ScanWriter, stem_of

    for scan in one.read():
        stem = stem_of(one.name, scan.series)
        writer = ScanWriter(args.out, stem, scan, settings.spacing or scan.spacing, args.save_prob)

        def on_frame(place: int, *found: Any, writer: Any = writer, total: int = len(scan.frames)) -> None:
            writer.on_frame(place, *found)
            progress.show(one.name, place + 1, total)

        keep = args.save_prob and writer.stack
        prediction = predictor.predict_scan(scan, settings, keep_probability=keep, on_frame=on_frame)
        writer.finish(prediction)
        yield stem, prediction, writer.files


def line_of(stem: str, prediction: 'Prediction') -> str:
    """Say in one line what was found."""
    fluid = sum(found.fluid_px for found in prediction.scans)
    if prediction.is_volume:
        volume = '' if prediction.fluid_mm3 is None else f', {prediction.fluid_mm3:.4f} mm3'
        marked = sum(found.fluid_px > 0 for found in prediction.scans)
        return f'{stem}: fluid in {marked} of {len(prediction.scans)} B-scans, {fluid} px{volume}'
    area = [found.fluid_mm2 for found in prediction.scans]
    inside = '' if None in area else f', {sum(area):.4f} mm2'
    return f'{stem}: fluid {fluid} px{inside}, in {sum(found.pockets for found in prediction.scans)} pockets'


def run(args: Namespace) -> int:
    """Predict all inputs, and write tables and manifest."""
    from octfluid.inference import outputs
    from octfluid.inference.predictor import Predictor
    from octfluid.io.atomic import require_folder, write_json
    from octfluid.io.readers import find_inputs

    started = time.time()
    require_folder(args.out, '--out')
    inputs = find_inputs(args.inputs, args.volume, args.recursive)
    settings = settings_of(args)
    if settings.threshold is not None and not 0 < settings.threshold < 1:
        raise InputError(f'--threshold {settings.threshold:g}: expected a number between 0 and 1')
    _refuse_old_results(args.out, inputs, args.overwrite)
    predictor = Predictor(args.model)
    manifest = _manifest(args, predictor)
    write_json(args.out / outputs.UNFINISHED, manifest)
    rows, measured, progress, failed = [], [], Progress(len(inputs)), 0
    for one in inputs:
        entry = dict(input=one.name, file=one.path.name, sha256=None, status='done', outputs=[], warnings=[])
        manifest['inputs'].append(entry)
        try:
            entry['sha256'] = sha256_of(one.path)
            for stem, prediction, files in predict_input(predictor, one, args, settings, progress):
                rows += outputs.rows_of(stem, prediction)
                measured.append(outputs.to_json(stem, prediction, args.keep_identifiers))
                entry['outputs'] += files
                entry['warnings'] += prediction.warnings
                progress.clear()
                print(line_of(stem, prediction), flush=True)
                for warning in prediction.warnings:
                    print(f'warning: {stem}: {warning}', file=sys.stderr)
        except (OctfluidError, ModuleNotFoundError, PermissionError) as error:
            failed += 1
            reason = str(error) if isinstance(error, OctfluidError) else missing_package(error) or str(error)
            entry |= dict(status='failed', error=reason)
            progress.clear()
            print(f'failed: {" ".join(reason.split())}', file=sys.stderr)
        progress.done += 1
    outputs.write_tables(args.out, rows)
    write_json(args.out / outputs.MEASUREMENTS, measured)
    write_json(args.out / outputs.MANIFEST, manifest | dict(seconds=round(time.time() - started, 2)))
    (args.out / outputs.UNFINISHED).unlink(missing_ok=True)
    print(f'{len(inputs) - failed} of {len(inputs)} inputs done: {args.out / outputs.TABLE}, {args.out / outputs.MANIFEST}')
    return 0 if not failed else 2 if failed == len(inputs) else 1


def _manifest(args: Namespace, predictor: 'Predictor') -> dict[str, Any]:
    info = predictor.model.info
    packages = ('numpy', 'opencv-python', 'onnxruntime', 'Pillow', 'scipy')
    given = {key: value for key, value in vars(args).items() if key not in ('inputs', 'out', 'model', 'overwrite')}
    return dict(
        schema=SCHEMA,
        octfluid=octfluid.__version__,
        model=dict(file=predictor.model.path.name, sha256=sha256_of(predictor.model.path), weights_sha256=info.weights_sha256),
        settings=given | dict(threshold=args.threshold or info.threshold),
        versions=dict(python=platform.python_version(), **{name: metadata.version(name) for name in packages}),
        inputs=[],
    )


def main() -> int:
    """Run the command."""
    return run(parse_args())


def console() -> None:
    """Entry point of ``octfluid-predict``."""
    sys.exit(exit_status_of(main))
