"""Outline and measure fluid in scans, with an exported model; needs neither torch nor a config."""

import errno
import json
import os
import sys
import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from octfluid.utils.cli import ToolParser, exit_status_of, reason_of
from octfluid.utils.errors import InputError, OctfluidError

if TYPE_CHECKING:
    from octfluid.inference.predictor import Prediction, Predictor, Settings
    from octfluid.io.readers import Input


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


def _path(text: str) -> Path:
    if not text:
        raise ArgumentTypeError(
            'an empty name, as of a variable that is not set; expected a path'
        )  # to Path, it is this folder
    return Path(text)


def parse_args() -> Namespace:
    """Parse and check the command line."""
    parser = ToolParser(
        'Outline fluid in OCT scans and measure it. Reads PNG, JPEG, BMP, TIFF, Duke .mat, DICOM, Heidelberg .vol, .e2e and '
        '.xml, Topcon .fda, NIfTI, and folders of them. For research only; not a medical device.',
        'python tools/predict.py scan.png volume.vol --out out\n'
        '  python tools/predict.py Subject_01.mat --out out --spacing 0.00387,0.01133,0.123',
    )
    parser.add_argument('inputs', nargs='+', type=_path, metavar='INPUT', help='scans, or folders of scans')
    parser.add_argument('--out', type=_path, required=True, metavar='DIR', help='folder for the results')
    parser.add_argument('--model', type=_path, metavar='FILE.onnx', help='exported model (default: the one of the package)')
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
        '--first-bscan', choices=('bottom', 'top'), help='which end of the eye a volume begins at (default: what the file says)'
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
        bottom_up=None if args.first_bscan is None else args.first_bscan == 'bottom',
        laterality=args.laterality,
    )


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
    predictor: 'Predictor',
    one: 'Input',
    args: Namespace,
    settings: 'Settings',
    progress: Progress,
    taken: set[str],
    replace: bool,
) -> Iterator[tuple[str, 'Prediction', list[str]]]:
    """Predict what an input holds and write the results of each scan; yields its name, the prediction and its files.

    ``taken`` are the files of this call so far; others that are there are put away only with ``replace``.
    """
    from octfluid.inference.outputs import ScanWriter, stem_of
    from octfluid.inference.settings import scale_of

    for scan in one.read():
        stem = stem_of(one.name, scan.series)
        spacing, side = scale_of(scan, settings)[0], settings.laterality or scan.laterality
        with ScanWriter(args.out, stem, scan, spacing, side, args.save_prob, replace) as writer:

            def on_frame(place: int, *found: Any, writer: Any = writer, total: int = len(scan.frames)) -> None:
                writer.on_frame(place, *found)
                progress.show(one.name, place + 1, total)

            prediction = predictor.predict_scan(scan, settings, keep_masks=False, on_frame=on_frame)
            if taken & set(writer.files):
                raise InputError(f'{one.path}: its results have the names of those of another input; give it another --out')
            writer.finish(prediction)
        taken.update(writer.files)
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


def _say(text: str, stream: TextIO | None = None) -> None:
    """Print one line; names of files may hold line breaks, and need not even be text.

    Who has stopped to listen, as `head` does, is not spoken to again, and the work goes on: its results are files.
    """
    stream = stream or sys.stdout
    try:
        print(' '.join(text.encode('utf-8', 'backslashreplace').decode().split()), file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say_warnings(warned: dict[str, list[str]]) -> None:
    """Print each warning once, with the scans that it is true of."""
    for warning, stems in warned.items():
        where = stems[0] if len(stems) == 1 else f'{len(stems)} scans (first: {stems[0]})'
        _say(f'warning: {where}: {warning}', sys.stderr)


def run(args: Namespace) -> int:
    """Check what is asked for, and predict in a folder that no other process writes to."""
    from octfluid.io.readers import find_inputs, left_out
    from octfluid.utils.atomic import require_folder
    from octfluid.utils.lock import occupied

    require_folder(args.out, '--out')
    if any(os.path.isdir(path) and args.out.resolve() == path.resolve() for path in args.inputs):
        raise InputError(f'--out {args.out}: is the folder of the scans; expected another, where only results are')
    inputs = find_inputs(args.inputs, args.volume, args.recursive, leave_out=args.out)
    if args.threshold is not None and not 0 < args.threshold < 1:
        raise InputError(f'--threshold {args.threshold:g}: expected a number between 0 and 1')
    settings = settings_of(args)
    if passed_over := left_out(args.inputs, args.volume, args.recursive, args.out):
        more = '' if len(passed_over) == 1 else f' and {len(passed_over) - 1} more'
        _say(f'warning: {passed_over[0]}{more}: left out, of a kind that is not read', sys.stderr)
    with occupied(args.out):
        return predict_all(args, inputs, settings)


def predict_all(args: Namespace, inputs: list['Input'], settings: 'Settings') -> int:
    """Predict all inputs, and write tables and manifest."""
    from octfluid.inference import manifest as manifests
    from octfluid.inference import outputs
    from octfluid.inference.predictor import Predictor
    from octfluid.utils.atomic import require_file_names, write_json

    started = time.time()
    predictor = Predictor(args.model)
    given = {key: value for key, value in vars(args).items() if key not in ('inputs', 'out', 'model', 'overwrite')}
    manifest = manifests.manifest_of(predictor, given)
    require_file_names(args.out / name for name in manifests.WRITTEN)
    begun = json.loads(json.dumps(dict(names=[one.name for one in inputs], **manifest)))
    replace = args.overwrite or (args.out / manifests.UNFINISHED).exists()
    manifests.refuse_another_call(args.out, begun, args.overwrite)
    manifests.refuse_old_results(args.out, inputs, args.overwrite)  # last, because with --overwrite it removes them
    write_json(args.out / manifests.UNFINISHED, begun)
    rows, measured, progress, failed, taken = [], [], Progress(len(inputs)), 0, set()
    warned: dict[str, list[str]] = {}
    for one in inputs:
        entry = dict(input=one.name, file=one.path.name, sha256=None, status='done', outputs=[], warnings=[])
        manifest['inputs'].append(entry)
        try:
            entry['sha256'] = manifests.sha256_of(one.path)
            for stem, prediction, files in predict_input(predictor, one, args, settings, progress, taken, replace):
                rows += outputs.rows_of(stem, prediction)
                measured.append(outputs.to_json(stem, prediction, args.keep_identifiers))
                entry['outputs'] += files
                entry['warnings'] += prediction.warnings
                progress.clear()
                _say(line_of(stem, prediction))
                for warning in prediction.warnings:
                    warned.setdefault(warning, []).append(stem)
        except (OctfluidError, ModuleNotFoundError, OSError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise  # the next would fare no better
            failed += 1
            reason = reason_of(one.path, error)
            entry |= dict(status='failed', error=reason)
            progress.clear()
            _say(f'failed: {reason}', sys.stderr)
        progress.done += 1
    _say_warnings(warned)
    outputs.write_tables(args.out, rows)
    write_json(args.out / manifests.MEASUREMENTS, measured)
    write_json(args.out / manifests.MANIFEST, manifest | dict(seconds=round(time.time() - started, 2)))
    (args.out / manifests.UNFINISHED).unlink(missing_ok=True)
    _say(f'{len(inputs) - failed} of {len(inputs)} inputs done: {args.out / manifests.TABLE}, {args.out / manifests.MANIFEST}')
    return 0 if not failed else 2 if failed == len(inputs) else 1


def main() -> int:
    """Run the command."""
    return run(parse_args())


def console() -> None:
    """Entry point of ``octfluid-predict``."""
    sys.exit(exit_status_of(main))
