"""Outline and measure fluid in scans, with an exported model (needs neither torch nor a config), or with any segmentor."""

import errno
import os
import sys
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octfluid.utils.cli import ToolParser, exit_status_of, parse_options, reason_of
from octfluid.utils.errors import InputError, OctfluidError

if TYPE_CHECKING:
    from octfluid.inference.predictor import Settings
    from octfluid.io.readers import Input

_FAILURES = (OctfluidError, ModuleNotFoundError, OSError, MemoryError)  # of one input; the others are done all the same


def _numbers(*counts: int) -> Callable[[str], tuple[float, ...]]:
    def numbers(text: str) -> tuple[float, ...]:
        values = tuple(map(float, text.split(',')))
        if len(values) not in counts:
            raise ValueError(text)
        return values

    return numbers


def _parse_args(segmentors: bool) -> Namespace:
    parser = ToolParser(
        'Outline fluid in OCT scans and measure it. Reads PNG, JPEG, BMP, TIFF, Duke .mat, DICOM, Heidelberg .vol, .e2e and '
        '.xml, Topcon .fda, NIfTI, and folders of them. For research only; not a medical device.',
        'python tools/predict.py scan.png volume.vol --out out\n'
        '  python tools/predict.py Subject_01.mat --out out --spacing 0.00387,0.01133,0.123',
    )
    parser.add_argument('inputs', nargs='+', type=Path, metavar='INPUT', help='scans, or folders of scans')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the results')
    parser.add_argument('--model', type=Path, metavar='FILE.onnx', help='exported model (default: the one of the package)')
    if segmentors:
        parser.add_argument('--config', type=Path, metavar='FILE', help='in place of --model: config of a segmentor, and')
        parser.add_argument(
            '--checkpoint', type=Path, metavar='FILE', help='its weights; needs torch, runs what the config says'
        )
        parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings')
    parser.add_argument('--volume', action='store_true', help='a folder is one volume of B-scans, not a batch of single ones')
    parser.add_argument('--recursive', action='store_true', help='also take what lies in folders below')
    parser.add_argument(
        '--spacing',
        type=_numbers(2, 3),
        metavar='AXIAL,LATERAL[,SLICE]',
        help="height and width of a pixel and distance between B-scans, in mm (default: the file's own, else nothing is in mm)",
    )
    parser.add_argument(
        '--threshold', type=float, metavar='P', help="fluid is where the probability exceeds this (default: the model's)"
    )
    parser.add_argument('--save-prob', action='store_true', help='also write the probabilities')
    centre = parser.add_mutually_exclusive_group()
    centre.add_argument(
        '--fovea',
        type=_numbers(2),
        metavar='BSCAN,COLUMN',
        help='where the fovea is, from 0: for the volume in each ETDRS sector',
    )
    centre.add_argument('--macula-centred', action='store_true', help='the fovea is in the middle of the volume')
    parser.add_argument(
        '--first-bscan', choices=('bottom', 'top'), help='which end of the eye a volume begins at (default: what the file says)'
    )
    parser.add_argument('--laterality', choices=('OD', 'OS'), help='right or left eye (default: what the file says)')
    parser.add_argument(
        '--keep-identifiers', action='store_true', help='write names, dates and numbers of patients that files hold'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace results that are there')
    args = parser.parse_args()
    if segmentors and ((args.config is None) != (args.checkpoint is None) or (args.config and args.model)):
        parser.error('--config, --checkpoint: expected both, and then no --model')
    return args


def _print(text: str) -> None:
    """Print a line; the work goes on where its reader, such as `head`, has gone."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Progress:
    """One line on a terminal: the current B-scan and the time left."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.start = total, 0, time.monotonic()

    def show(self, name: str = '', place: int = 0, frames: int = 1) -> None:
        """Show that ``place`` of the ``frames`` B-scans of an input are done; without a name, remove the line."""
        if not sys.stderr.isatty():
            return
        share = (self.done + place / frames) / self.total
        left = (time.monotonic() - self.start) * (1 - share) / share if share else 0
        text = f'{self.done + 1} of {self.total}: {name}, B-scan {place} of {frames}, {left:.0f} s left' if name else ''
        print(f'\r\x1b[K{text[:110]}', end='', file=sys.stderr, flush=True)


def predict_all(args: Namespace, inputs: list['Input'], settings: 'Settings') -> int:
    """Predict all inputs, write their results, tables and manifest, and return the exit status."""
    from octfluid.inference.outputs import MANIFEST, TABLE, Results
    from octfluid.inference.predictor import Predictor
    from octfluid.utils.digest import file_sha256

    elsewhere = ('inputs', 'out', 'model', 'config', 'checkpoint', 'cfg_options', 'overwrite')  # in the manifest, or nowhere
    given = {key: value for key, value in vars(args).items() if key not in elsewhere}
    predictor = Predictor(args.model)
    results = Results(args.out, predictor, given, args.save_prob, args.keep_identifiers)
    results.begin(inputs, args.overwrite)
    progress, failed, warned = Progress(len(inputs)), 0, defaultdict(list)
    for progress.done, one in enumerate(inputs):
        entry = results.add_input(one.name, one.path)
        try:
            entry['sha256'] = file_sha256(one.path)
            for scan in one.read():
                frames = []
                for frame in predictor.outline(scan, settings, args.save_prob):
                    frames.append(frame)
                    progress.show(one.name, len(frames), len(scan.frames))
                prediction = predictor.conclude(scan, settings, frames)
                stem = results.write(entry, prediction)
                for warning in prediction.warnings:
                    warned[warning].append(stem)
                progress.show()
                _print(f'{stem}: {prediction.summary()}')
        except _FAILURES as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise  # the next input would fail, too
            failed += 1
            entry |= dict(status='failed', error=reason_of(one.path, error))
            progress.show()
            print(f'failed: {entry["error"]}', file=sys.stderr)
    for warning, stems in warned.items():
        where = stems[0] if len(stems) == 1 else f'{len(stems)} scans (first: {stems[0]})'
        print(f'warning: {where}: {warning}', file=sys.stderr)
    results.finish()
    _print(f'{len(inputs) - failed} of {len(inputs)} inputs done: {args.out / TABLE}, {args.out / MANIFEST}')
    return 0 if not failed else 2 if failed == len(inputs) else 1


def main(load: Callable[[Path, Path, dict[str, Any]], Any] | None = None) -> int:
    """Check the arguments, load a network by ``load`` where given, then predict in a folder locked against other processes."""
    from octfluid.inference.predictor import Settings, Spacing
    from octfluid.io.readers import find_inputs
    from octfluid.utils.atomic import require_folder
    from octfluid.utils.lock import occupied

    args = _parse_args(load is not None)
    require_folder(args.out, '--out')
    if any(os.path.isdir(path) and args.out.resolve() == path.resolve() for path in args.inputs):
        raise InputError(f'--out {args.out}: is the folder of the scans; expected another, where only results are')
    inputs, left_out = find_inputs(args.inputs, args.volume, args.recursive)
    settings = Settings(
        spacing=Spacing(*args.spacing) if args.spacing else None,
        threshold=args.threshold,
        fovea=args.fovea,
        macula_centred=args.macula_centred,
        bottom_up=None if args.first_bscan is None else args.first_bscan == 'bottom',
        laterality=args.laterality,
    )
    if left_out:
        print(f'warning: {len(left_out)} files of a kind that is not read, such as {left_out[0]}', file=sys.stderr)
    if load and args.config:
        args.model = load(args.config, args.checkpoint, parse_options(args.cfg_options))
    with occupied(args.out):
        return predict_all(args, inputs, settings)


def console() -> None:
    """Entry point of ``octfluid-predict``."""
    sys.exit(exit_status_of(main))
