"""What a call leaves on disk: masks, overlays, probabilities, en-face maps, tables and a manifest."""

import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import octfluid
from octfluid.inference.predictor import Prediction, Predictor
from octfluid.io.readers import Input
from octfluid.io.results import MANIFEST, SCHEMA, UNFINISHED, write_csv, write_nifti, write_png
from octfluid.utils.atomic import TEMPORARY, flush, write_json
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json
from octfluid.visualization.enface import draw_enface
from octfluid.visualization.overlay import draw_overlay

TABLE, MEASUREMENTS = 'measurements.csv', 'measurements.json'
COLUMNS = (
    'input', 'kind', 'bscan', 'file', 'laterality', 'height_px', 'width_px', 'axial_mm', 'lateral_mm', 'slice_mm', 'fluid_px',
    'fluid_mm2', 'fluid_mm3', 'pockets', 'largest_pocket_px', 'largest_pocket_mm2', 'mean_probability', 'sector',
    'sector_covered',
)  # fmt: skip
_PACKAGES = ('numpy', 'opencv-python', 'onnxruntime', 'Pillow', 'scipy')


class Results:
    """The results of one call below ``out``: those of each scan, then the tables and the manifest.

    The manifest names the model of ``predictor`` and the settings that were ``given``. ``save_prob`` writes the
    probabilities of predictions that keep them, ``keep_identifiers`` what names a person or a day.
    """

    def __init__(
        self, out: Path, predictor: Predictor, given: Mapping[str, Any], save_prob: bool = False, keep_identifiers: bool = False
    ) -> None:
        self.out, self.save_prob, self.keep_identifiers = out, save_prob, keep_identifiers
        self._replace, self._started = False, time.time()
        self._rows: list[dict[str, Any]] = []
        self._measured: list[dict[str, Any]] = []
        self._files: set[str] = set()
        model = predictor.model
        named = dict(file=model.path.name, sha256=file_sha256(model.path), weights_sha256=model.info.weights_sha256)
        self.manifest = dict(
            schema=SCHEMA,
            octfluid=octfluid.__version__,
            model=named | model.provenance,
            settings=dict(given, threshold=given.get('threshold') or model.info.threshold),
            versions=dict(python=platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}),
            inputs=[],
        )

    def begin(self, inputs: Sequence[Input], overwrite: bool) -> None:
        """Make the output folder ready; the same call, if it was cut short here, goes on.

        ``overwrite`` removes the results of the earlier call, and replaces other files that are in the way.

        Raises:
            InputError: Results of an earlier call or other files are in the way, or ``overwrite`` would remove an input.
        """
        unfinished, tables = self.out / UNFINISHED, [self.out / name for name in (MANIFEST, MEASUREMENTS, TABLE)]
        call = dict(names=[one.name for one in inputs], **self.manifest)
        call = json.loads(json.dumps({key: call[key] for key in ('schema', 'names', 'settings', 'model')}))
        self._replace = overwrite or unfinished.exists()
        if unfinished.exists() and not overwrite and read_json(unfinished) != call:
            raise InputError(f'{unfinished}: another call was interrupted here; repeat it, or use another --out or --overwrite')
        earlier = self._earlier_files()
        if overwrite or earlier == []:  # a call in which nothing could be done has no results to protect
            self._remove([*(self.out / name for name in earlier or ()), *tables], inputs)
        elif not self._replace:
            _require_free(tables)
        write_json(unfinished, call)

    def _earlier_files(self) -> list[str] | None:
        try:
            content = read_json(self.out / MANIFEST)
            return [name for one in content['inputs'] for name in one['outputs']] if content['schema'] == SCHEMA else None
        except (InputError, KeyError, TypeError):
            return None

    def _remove(self, paths: Sequence[Path], inputs: Sequence[Input]) -> None:
        """Remove results of an earlier call, so that those of two calls do not mix; keep to the output folder."""
        removed = [path for path in paths if path.resolve().is_relative_to(self.out.resolve()) and not path.is_dir()]
        if own := {one.path.resolve() for one in inputs} & {path.resolve() for path in removed}:
            raise InputError(f'{own.pop()}: a result of the earlier call, which --overwrite removes; choose another --out')
        for path in removed:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in removed} - {self.out}:
            with suppress(OSError):  # it is gone, or holds other files
                folder.rmdir()

    def add_input(self, name: str, path: Path) -> dict[str, Any]:
        """Return the entry of an input in the manifest, for the caller to complete."""
        self.manifest['inputs'].append(dict(input=name, file=path.name, sha256=None, status='done', outputs=[], warnings=[]))
        return self.manifest['inputs'][-1]

    def write(self, entry: dict[str, Any], prediction: Prediction) -> str:
        """Write the results of a scan of an input, whose ``entry`` is from `add_input`, all or none; return their name.

        Raises:
            InputError: A file is in the way.
        """
        stem = entry['input'] + (f'_{prediction.scan.series}' if prediction.scan.series else '')
        self.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self.out) as staged:
            files = _write_scan(Path(staged), stem, prediction, self.save_prob)
            if self._files & set(files):
                raise InputError(f'{prediction.scan.path}: its results are named as those of another; give it another --out')
            if not self._replace:
                _require_free([self.out / name for name in files])
            for name in files:
                (self.out / name).parent.mkdir(parents=True, exist_ok=True)
                flush(Path(staged, name))
                Path(staged, name).replace(self.out / name)
        self._files.update(files)
        self._rows += rows_of(stem, prediction)
        self._measured.append(to_json(stem, prediction, self.keep_identifiers))
        entry['outputs'] += files
        entry['warnings'] += prediction.warnings
        return stem

    def finish(self) -> None:
        """Write the tables and the manifest."""
        write_csv(self.out / TABLE, COLUMNS, self._rows)
        write_json(self.out / MEASUREMENTS, self._measured)
        write_json(self.out / MANIFEST, self.manifest | dict(seconds=round(time.time() - self._started, 2)))
        (self.out / UNFINISHED).unlink(missing_ok=True)


def _require_free(paths: Sequence[Path]) -> None:
    if there := next((path for path in paths if os.path.lexists(path)), None):
        raise InputError(f'{there}: is there already; choose another --out, or --overwrite to replace it')


def _write_scan(folder: Path, stem: str, prediction: Prediction, save_probability: bool) -> list[str]:
    scan, frames, name = prediction.scan, prediction.frames, Path(stem).name
    stack = scan.is_volume or len(frames) > 1  # has a folder of its own
    digits = max(3, len(str(len(frames) - 1)))
    files: list[str] = []

    def place(ending: str) -> Path:
        files.append(f'{stem}/{name}_{ending}' if stack else f'{stem}_{ending}')
        path = folder / files[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    for frame in frames:
        found, which = frame.measured, f'z{frame.measured.index:0{digits}d}' if stack else ''
        before = f'{which}_' if stack else ''
        write_png(place(f'{before}mask.png'), frame.mask.astype(np.uint8) * 255, fast=True)
        area = '' if found.fluid_mm2 is None else f' ({found.fluid_mm2:.4f} mm2)'  # the font has no raised 2
        caption = f'{f"{name} {which}".rstrip()} · fluid {found.fluid_px} px{area}'
        write_png(place(f'{before}overlay.png'), draw_overlay(frame.gray, frame.mask, None, caption), fast=True)
        if save_probability:
            write_png(place(f'{before}probability.png'), np.rint(frame.probability * 65535).astype(np.uint16), fast=True)
        if stack and frame is frames[0]:
            side = f', {prediction.laterality}' if prediction.laterality else ''
            # The file's affine would contradict a scale that was given.
            affine = scan.affine if prediction.spacing == scan.spacing else None
            lie = dict(spacing=prediction.spacing, affine=affine, unit=scan.unit)
            masks = prediction.masks.astype(np.uint8)
            write_nifti(place('mask.nii.gz'), masks, f'octfluid: 1 is fluid{side}', **lie)
            if save_probability:
                label = f'octfluid: probability of fluid{side}'
                write_nifti(place('probability.nii.gz'), prediction.probability, label, **lie)
    if scan.is_volume:
        write_png(
            place('enface.png'), draw_enface(prediction.thickness_px, prediction.spacing, prediction.bottom_up), fast=True
        )
    return files


def rows_of(name: str, prediction: Prediction) -> list[dict[str, Any]]:
    """Return a prediction's rows of `TABLE`: each B-scan, then the volume and its sectors."""
    common = dict(input=name, laterality=prediction.laterality)
    if spacing := prediction.spacing:
        common |= dict(axial_mm=spacing.axial, lateral_mm=spacing.lateral, slice_mm=spacing.slice)
    rows = [
        dict(asdict(found), kind='B-scan', bscan=found.index, height_px=found.height, width_px=found.width)
        for found in prediction.scans
    ]
    if prediction.scan.is_volume:
        rows.append(dict(kind='volume', fluid_px=prediction.fluid_px, fluid_mm3=prediction.fluid_mm3))
    rows += [dict(asdict(sector), kind='sector', sector_covered=sector.covered) for sector in prediction.sectors]
    return [common | row for row in rows]


def to_json(name: str, prediction: Prediction, keep_identifiers: bool) -> dict[str, Any]:
    """Return a prediction's entry of `MEASUREMENTS`."""
    content = dict(
        input=name,
        is_volume=prediction.scan.is_volume,
        laterality=prediction.laterality,
        device=prediction.scan.device,
        spacing_mm=prediction.spacing and asdict(prediction.spacing),
        spacing_from=prediction.spacing_from,
        fluid_mm3=prediction.fluid_mm3,
        sectors=[asdict(sector) for sector in prediction.sectors],
        scans=[asdict(found) for found in prediction.scans],
        warnings=list(prediction.warnings),
    )
    return content | dict(identifiers=dict(prediction.scan.identifiers)) if keep_identifiers else content
