"""What a call leaves on disk: masks, overlays, probabilities, en-face maps, tables and a manifest."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import octfluid
from octfluid.inference.predictor import Frame, Outline, Prediction, Predictor
from octfluid.io.readers import Input
from octfluid.io.results import MANIFEST, SCHEMA, UNFINISHED, NiftiWriter, write_csv, write_png
from octfluid.utils.atomic import TEMPORARY, flush, require_file_names, write_json
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
    """The results of one call: those of each scan, then the tables and the manifest.

    Args:
        out: Output folder.
        predictor: Its model goes into the manifest.
        given: Settings for the manifest, as far as the user gave them.
        save_probability: Write the probabilities, too.
        keep_identifiers: Write what names a person or a day.

    Attributes:
        manifest: Content of `MANIFEST` so far.
        warned: The names of the scans that each warning is about.
    """

    def __init__(
        self,
        out: Path,
        predictor: Predictor,
        given: Mapping[str, Any],
        save_probability: bool = False,
        keep_identifiers: bool = False,
    ) -> None:
        self.out, self.save_probability, self.keep_identifiers = out, save_probability, keep_identifiers
        self.warned: dict[str, list[str]] = {}
        self._replace = False
        self._started = time.time()
        self._rows: list[dict[str, Any]] = []
        self._measured: list[dict[str, Any]] = []
        self._files: set[str] = set()
        model = predictor.model
        self.manifest = dict(
            schema=SCHEMA,
            octfluid=octfluid.__version__,
            model=dict(file=model.path.name, sha256=sha256_of(model.path), weights_sha256=model.info.weights_sha256),
            settings=dict(given, threshold=given.get('threshold') or model.info.threshold),
            versions=dict(python=platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}),
            inputs=[],
        )

    def begin(self, inputs: Sequence[Input], overwrite: bool) -> None:
        """Make the output folder ready; the same call, if it was cut short here, goes on.

        Args:
            inputs: Of this call.
            overwrite: Remove the results of the earlier call; replace other files that are in the way.

        Raises:
            InputError: Results of an earlier call or other files are in the way, or ``overwrite`` would remove an input.
        """
        unfinished = self.out / UNFINISHED
        require_file_names(self.out / name for name in (TABLE, MEASUREMENTS, MANIFEST, UNFINISHED))
        begun = json.loads(json.dumps(dict(names=[one.name for one in inputs], **self.manifest)))
        self._replace = overwrite or unfinished.exists()
        earlier = _files_of(self.out / MANIFEST)
        if self._replace and not overwrite and not _is_same_call(unfinished, begun):
            raise InputError(
                f'{unfinished}: another call was cut short here; repeat that one, choose another --out, or --overwrite'
            )
        if overwrite or earlier == []:  # a call in which nothing could be done has no results to protect
            _remove_results(self.out, earlier or [], inputs)
        elif not unfinished.exists():
            _require_free(self.out, inputs)
        write_json(unfinished, begun)

    def add_input(self, name: str, path: Path) -> dict[str, Any]:
        """Return the entry of an input in the manifest, for the caller to complete."""
        entry = dict(input=name, file=path.name, sha256=None, status='done', outputs=[], warnings=[])
        self.manifest['inputs'].append(entry)
        return entry

    def write_scan(
        self, entry: dict[str, Any], outline: Outline, progress: Callable[[int], None] | None = None
    ) -> tuple[str, Prediction]:
        """Go through a scan and write its results; they appear together at the end, or not at all.

        Args:
            entry: Of its input, from `add_input`.
            outline: The pass over the scan.
            progress: Called after each B-scan with the number of B-scans done.

        Returns:
            The name of the results, and what was found.

        Raises:
            InputError, WorkError: As `Outline`, or a file is in the way.
        """
        stem = entry['input'] + (f'_{outline.scan.series}' if outline.scan.series else '')
        with _ScanWriter(self.out, stem, outline, self.save_probability) as writer:
            for frame in outline:
                writer.add(frame)
                if progress is not None:
                    progress(frame.measured.index + 1)
            prediction = outline.prediction()
            writer.finish(prediction, self._files, self._replace)
        self._files.update(writer.files)
        self._rows += rows_of(stem, prediction)
        self._measured.append(to_json(stem, prediction, self.keep_identifiers))
        entry['outputs'] += writer.files
        entry['warnings'] += prediction.warnings
        for warning in prediction.warnings:
            self.warned.setdefault(warning, []).append(stem)
        return stem, prediction

    def finish(self) -> None:
        """Write the tables and the manifest."""
        write_csv(self.out / TABLE, COLUMNS, self._rows)
        write_json(self.out / MEASUREMENTS, self._measured)
        write_json(self.out / MANIFEST, self.manifest | dict(seconds=round(time.time() - self._started, 2)))
        (self.out / UNFINISHED).unlink(missing_ok=True)


def _files_of(manifest: Path) -> list[str] | None:
    """Return the files that an earlier call says it wrote; None without a manifest of one."""
    try:
        content = read_json(manifest)
        names = [name for one in content['inputs'] for name in one['outputs']] if content['schema'] == SCHEMA else None
    except (InputError, KeyError, TypeError):
        return None
    return names if names is None or all(isinstance(name, str) and name.isprintable() for name in names) else None


def _is_same_call(unfinished: Path, begun: Mapping[str, Any]) -> bool:
    try:
        earlier = read_json(unfinished)
    except InputError:
        return False
    return isinstance(earlier, dict) and all(earlier.get(key) == begun[key] for key in ('names', 'settings', 'model'))


def _remove_results(out: Path, names: Sequence[str], inputs: Sequence[Input]) -> None:
    """Remove the files of an earlier call, so that results of two calls do not mix; keep to the output folder."""
    here = out.resolve()
    listed = [out / name for name in (*names, MANIFEST, MEASUREMENTS, TABLE)]
    removed = [path for path in listed if path.resolve().is_relative_to(here) and not path.is_dir()]
    places = {path.resolve() for path in removed}
    if own := next((one.path for one in inputs if one.path.resolve() in places), None):
        raise InputError(f'{own}: a result of the earlier call, which --overwrite removes; choose another --out')
    for path in removed:
        path.unlink(missing_ok=True)
    for folder in {(out / name).parent for name in names} - {out}:
        if folder.resolve().is_relative_to(here):
            with suppress(OSError):  # it is gone, or holds other files
                folder.rmdir()


def _require_free(out: Path, inputs: Sequence[Input]) -> None:
    wanted = [out / name for name in (MANIFEST, MEASUREMENTS, TABLE)]
    for one in inputs:
        wanted += [out / f'{one.name}_mask.png', out / one.name / f'{Path(one.name).name}_mask.nii.gz']
    if there := next((path for path in wanted if path.exists()), None):
        raise _in_the_way(there)


def _in_the_way(path: Path) -> InputError:
    return InputError(f'{path}: is there already; choose another --out, or --overwrite to replace it')


class _ScanWriter:
    """Writes the files of one scan into a temporary folder, B-scan by B-scan; `finish` puts them in place."""

    def __init__(self, out: Path, stem: str, outline: Outline, save_probability: bool) -> None:
        scan = outline.scan
        self.out, self.stem, self.number = out, stem, len(scan.frames)
        self.stack = scan.is_volume or self.number > 1  # has a folder of its own
        self.spacing, self.save_probability = outline.spacing, save_probability
        self.side = f', {outline.laterality}' if outline.laterality else ''
        # The file's affine would contradict a scale that was given.
        self.affine = scan.affine if self.spacing == scan.spacing else None
        self.digits = max(3, len(str(self.number - 1)))
        self.files: list[str] = []
        self._volumes: dict[str, NiftiWriter] = {}

    def __enter__(self) -> '_ScanWriter':
        self.out.mkdir(parents=True, exist_ok=True)
        self.staged = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self.out))
        return self

    def __exit__(self, *_: object) -> None:
        for volume in self._volumes.values():
            volume.close()
        shutil.rmtree(self.staged, ignore_errors=True)

    def _path(self, ending: str) -> Path:
        """Return where a file of this scan is written for now, and note where it will be."""
        name = Path(self.stem).name
        relative = Path(self.stem) / f'{name}_{ending}' if self.stack else Path(f'{self.stem}_{ending}')
        if not (self.out / relative).resolve().is_relative_to(self.out.resolve()):
            raise InputError(f'{self.stem}: its results would lie outside of {self.out}; rename it')
        self.files.append(relative.as_posix())
        return self.staged / relative

    def add(self, frame: Frame) -> None:
        """Write mask, overlay and, if wanted, probability (16 bits, 65535 for 1) of a B-scan."""
        mask, found = frame.mask, frame.measured
        before = f'z{found.index:0{self.digits}d}_' if self.stack else ''
        write_png(self._path(f'{before}mask.png'), mask.astype(np.uint8) * 255)
        area = '' if found.fluid_mm2 is None else f' ({found.fluid_mm2:.4f} mm2)'  # the font has no raised 2
        name = ' '.join(filter(None, (Path(self.stem).name, before.rstrip('_'))))
        caption = f'{name} · fluid {found.fluid_px} px{area}'
        write_png(self._path(f'{before}overlay.png'), draw_overlay(frame.gray, mask, None, caption))
        if self.save_probability:
            write_png(self._path(f'{before}probability.png'), np.rint(frame.probability * 65535).astype(np.uint16))
        if self.stack:
            self._add_to_volume('mask', mask, np.uint8, '1 is fluid')
            if self.save_probability:
                self._add_to_volume('probability', frame.probability, np.float32, 'probability of fluid')

    def _add_to_volume(self, what: str, values: np.ndarray, dtype: type, label: str) -> None:
        if what not in self._volumes:
            path, shape = self._path(f'{what}.nii.gz'), (self.number, *values.shape)
            label = f'octfluid: {label}{self.side}'
            self._volumes[what] = NiftiWriter(path, shape, np.dtype(dtype), self.spacing, label, self.affine)
        self._volumes[what].add(values)

    def finish(self, prediction: Prediction, taken: set[str], replace: bool) -> None:
        """Write the en-face map of a volume and put all files in place; ``taken`` are the files of other inputs."""
        if taken & set(self.files):
            raise InputError(f'{prediction.path}: its results have the names of those of another input; give it another --out')
        if prediction.is_volume:
            write_png(self._path('enface.png'), draw_enface(prediction.thickness_px, prediction.spacing, prediction.bottom_up))
        for volume in self._volumes.values():
            volume.close()
        there = next((self.out / name for name in self.files if os.path.lexists(self.out / name)), None)
        if there is not None and not replace:
            raise _in_the_way(there)
        for name in self.files:
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            flush(self.staged / name)
            (self.staged / name).replace(self.out / name)


def rows_of(name: str, prediction: Prediction) -> list[dict[str, Any]]:
    """Return a prediction's rows of `TABLE`: each B-scan, then the volume and its sectors."""
    spacing = prediction.spacing
    common = dict(input=name, laterality=prediction.laterality)
    if spacing is not None:
        common |= dict(axial_mm=spacing.axial, lateral_mm=spacing.lateral, slice_mm=spacing.slice)
    rows = []
    for found in prediction.scans:
        measured = {key: value for key, value in asdict(found).items() if key in COLUMNS}
        size = dict(height_px=found.height, width_px=found.width)
        rows.append(common | measured | size | dict(kind='B-scan', bscan=found.index))
    if prediction.is_volume:
        fluid = sum(found.fluid_px for found in prediction.scans)
        rows.append(common | dict(kind='volume', fluid_px=fluid, fluid_mm3=prediction.fluid_mm3))
    for sector in prediction.sectors:
        found = dict(kind='sector', sector=sector.sector, fluid_mm3=sector.fluid_mm3, sector_covered=sector.covered)
        rows.append(common | found)
    return rows


def to_json(name: str, prediction: Prediction, keep_identifiers: bool) -> dict[str, Any]:
    """Return a prediction's entry of `MEASUREMENTS`."""
    content = dict(
        input=name,
        is_volume=prediction.is_volume,
        laterality=prediction.laterality,
        device=prediction.device,
        spacing_mm=prediction.spacing and asdict(prediction.spacing),
        spacing_from=prediction.spacing_from,
        fluid_mm3=prediction.fluid_mm3,
        sectors=[asdict(sector) for sector in prediction.sectors],
        scans=[asdict(found) for found in prediction.scans],
        warnings=list(prediction.warnings),
    )
    return content | dict(identifiers=prediction.identifiers) if keep_identifiers else content


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file or, over names and bytes, of the files of a folder."""
    if path.is_file():
        with open(path, 'rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    digest = hashlib.sha256()
    for part in sorted(part for part in path.iterdir() if part.is_file()):
        digest.update(os.fsencode(part.name) + b'\0')
        with open(part, 'rb') as file:
            while piece := file.read(1 << 20):  # other files of the folder may be large
                digest.update(piece)
    return digest.hexdigest()
