"""What a prediction leaves on disk: masks, overlays, probabilities, a map, tables and a manifest."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.inference.manifest import TABLE
from octfluid.inference.measurements import ScanMeasurement, measure_scan
from octfluid.inference.predictor import Prediction
from octfluid.io.results import NiftiWriter, write_csv, write_png
from octfluid.io.scan import Scan, Spacing
from octfluid.utils.atomic import TEMPORARY, flush
from octfluid.utils.errors import InputError
from octfluid.visualization.enface import draw_enface
from octfluid.visualization.overlay import draw_overlay

COLUMNS = (
    'input', 'kind', 'bscan', 'file', 'laterality', 'height_px', 'width_px', 'axial_mm', 'lateral_mm', 'slice_mm', 'fluid_px',
    'fluid_mm2', 'fluid_mm3', 'pockets', 'largest_pocket_px', 'largest_pocket_mm2', 'mean_probability', 'sector',
    'sector_covered',
)  # fmt: skip


def stem_of(name: str, series: str) -> str:
    """Return what the results of a scan are called, from its input's name and its series."""
    return f'{name}_{series}' if series else name


def is_stack(scan: Scan) -> bool:
    """Tell whether a scan's results have a folder of their own: several B-scans, or a volume."""
    return scan.is_volume or len(scan.frames) > 1


class ScanWriter:
    """Writes what belongs to one scan, B-scan by B-scan, into a folder of its own, and puts it all in place at the end.

    To be used as a context: if it is left before `finish`, nothing of the scan is left.

    Args:
        out: Output folder.
        stem: From `stem_of`; may hold folders.
        scan: What is predicted.
        spacing: Scale for captions and volumes, or None.
        laterality: 'OD', 'OS', or None.
        save_probability: Write the probabilities, too.
        replace: Put results in place of files that are there.

    Attributes:
        files: What is written, relative to ``out``.
    """

    def __init__(
        self,
        out: Path,
        stem: str,
        scan: Scan,
        spacing: Spacing | None,
        laterality: str | None,
        save_probability: bool,
        replace: bool = False,
    ) -> None:
        self.out, self.stem, self.stack, self.number = out, stem, is_stack(scan), len(scan.frames)
        self.spacing, self.save_probability, self.replace = spacing, save_probability, replace
        self.side = f', {laterality}' if laterality else ''
        # Its distances would contradict another scale.
        self.affine = scan.affine if spacing == scan.spacing else None
        self.digits = max(3, len(str(self.number - 1)))
        self.files: list[str] = []
        self._volumes: dict[str, NiftiWriter] = {}

    def __enter__(self) -> 'ScanWriter':
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

    def on_frame(self, place: int, gray: np.ndarray, probability: np.ndarray, mask: np.ndarray) -> None:
        """Write mask, overlay and, if wanted, probability (16 bits, 65535 for 1) of a B-scan."""
        before = f'z{place:0{self.digits}d}_' if self.stack else ''
        write_png(self._path(f'{before}mask.png'), mask.astype(np.uint8) * 255)
        found = measure_scan(place, mask, probability, self.spacing)
        write_png(self._path(f'{before}overlay.png'), draw_overlay(gray, mask, None, self._caption(before, found)))
        if self.save_probability:
            write_png(self._path(f'{before}probability.png'), np.rint(probability * 65535).astype(np.uint16))
        if self.stack:
            self._volume('mask', mask, np.uint8, '1 is fluid').add(mask)
            if self.save_probability:
                self._volume('probability', mask, np.float32, 'probability of fluid').add(probability)

    def _volume(self, what: str, like: np.ndarray, dtype: type, label: str) -> NiftiWriter:
        if what not in self._volumes:
            shape = (self.number, *like.shape)
            path, label = self._path(f'{what}.nii.gz'), f'octfluid: {label}{self.side}'
            self._volumes[what] = NiftiWriter(path, shape, np.dtype(dtype), self.spacing, label, self.affine)
        return self._volumes[what]

    def _caption(self, before: str, found: ScanMeasurement) -> str:
        area = '' if found.fluid_mm2 is None else f' ({found.fluid_mm2:.4f} mm2)'  # the font has no raised 2
        where = f'{Path(self.stem).name} {before.rstrip("_")}'.strip()
        return f'{where} · fluid {found.fluid_px} px{area}'

    def finish(self, prediction: Prediction) -> None:
        """Write what a volume has beside its B-scans, and put everything in place.

        Raises:
            InputError: A file is there already, and none are to be replaced.
        """
        if prediction.is_volume:
            write_png(self._path('enface.png'), draw_enface(prediction.thickness_px, prediction.spacing, prediction.bottom_up))
        for volume in self._volumes.values():
            volume.close()
        there = next((self.out / name for name in self.files if os.path.lexists(self.out / name)), None)
        if there is not None and not self.replace:
            raise InputError(f'{there}: is there already; choose another --out, or --overwrite to replace it')
        for name in self.files:
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            flush(self.staged / name)
            (self.staged / name).replace(self.out / name)


def rows_of(name: str, prediction: Prediction) -> list[dict[str, Any]]:
    """Return a prediction's lines in the table: each B-scan, then the volume and its sectors."""
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
    """Return a prediction's measurements for `MEASUREMENTS`."""
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


def write_tables(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `TABLE`."""
    write_csv(out / TABLE, COLUMNS, rows)
