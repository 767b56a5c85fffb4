"""What a user of the page does with a scan, without Gradio."""

import io
import tempfile
import zipfile
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.outputs import Results, sha256_of
from octfluid.inference.predictor import Prediction, Predictor, Settings, Spacing
from octfluid.io.readers import read_scans, stem_of_file
from octfluid.io.results import write_png
from octfluid.utils.errors import InputError
from octfluid.visualization.overlay import colour_fluid, enlarged_scan, enlargement

TABLE_COLUMNS = ('B-scan', 'fluid, px', 'fluid, mm²', 'pockets', 'largest pocket, px', 'mean probability')


@dataclass(frozen=True)
class Viewed:
    """A scan that has been outlined: its file, the file's SHA-256, what the user said about it, and what was found."""

    path: Path
    sha256: str
    settings: Settings
    prediction: Prediction

    @property
    def warnings(self) -> list[str]:
        """Warnings, in the words of the page."""
        return [warning.replace('(--spacing)', 'in the field Scale') for warning in self.prediction.warnings]


def parse_spacing(text: str | None) -> Spacing | None:
    """Read the field Scale: ``axial, lateral[, slice]`` in mm; empty is None. Raise InputError for anything else."""
    if not text or not text.strip():
        return None
    try:
        return Spacing(*map(float, text.replace(';', ',').split(',')))
    except (ValueError, TypeError, InputError) as error:
        said = f'scale "{text.strip()[:40]}": expected height, width[, distance] in mm, such as 0.004, 0.011'
        raise InputError(said) from error


def example_file() -> str:
    """Write the example, a phantom, and return its path."""
    path = Path(tempfile.mkdtemp()) / 'example.png'
    write_png(path, make_phantom(3, 496, 768, fluid=True)[0])
    return str(path)


def outline(predictor: Predictor, path: Path, settings: Settings) -> Generator[tuple[int, int], None, Viewed]:
    """Outline the first scan of a file: yields (B-scans done, B-scans in all), and returns what there is to see.

    Raises:
        InputError, WorkError: As `octfluid.inference.predictor.Predictor.outline`.
    """
    scan, *more = read_scans(path)
    if more:
        only = f'the file holds {1 + len(more)} scans, and this is the first; tools/predict.py does all of them'
        scan = replace(scan, notes=(*scan.notes, only))
    frames = []
    for frame in predictor.outline(scan, settings, probability=True):
        frames.append(frame)
        yield len(frames), len(scan.frames)
    return Viewed(path, sha256_of(path), settings, predictor.conclude(scan, settings, frames))


def at_threshold(predictor: Predictor, viewed: Viewed, threshold: float) -> Viewed:
    """Return the same scan at another threshold; the model does not run again."""
    settings, found = replace(viewed.settings, threshold=threshold), viewed.prediction
    frames = [frame.at_threshold(threshold, found.spacing) for frame in found.frames]
    return replace(viewed, settings=settings, prediction=predictor.conclude(found.scan, settings, frames))


def picture(viewed: Viewed, place: int, opacity: float) -> np.ndarray:
    """Return the B-scan at a place from 0 with its fluid in colour of an opacity in [0, 1]: RGB, uint8, enlarged."""
    frame = viewed.prediction.frames[place]
    scale = enlargement(frame.gray.shape)
    plain = enlarged_scan(frame.gray, scale).astype(np.float32)
    return np.rint(plain + opacity * (colour_fluid(frame.gray, frame.mask, None, scale) - plain)).astype(np.uint8)


def table(viewed: Viewed) -> list[list[Any]]:
    """Return the rows of the table, one a B-scan, under `TABLE_COLUMNS`."""
    rows = []
    for found in viewed.prediction.scans:
        area = '' if found.fluid_mm2 is None else f'{found.fluid_mm2:.4f}'
        probability = '' if found.mean_probability is None else f'{found.mean_probability:.2f}'
        rows.append([found.index, found.fluid_px, area, found.pockets, found.largest_pocket_px, probability])
    return rows


def download(predictor: Predictor, viewed: Viewed) -> bytes:
    """Return a ZIP with the files that ``tools/predict.py`` writes for the scan."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
        given = {key: value for key, value in asdict(viewed.settings).items() if value is not None}
        results = Results(Path(folder), predictor, given)
        entry = results.add_input(stem_of_file(viewed.path), viewed.path)
        entry['sha256'] = viewed.sha256
        results.write(entry, viewed.prediction)
        results.finish()
        for path in sorted(path for path in Path(folder).rglob('*') if path.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
    return packed.getvalue()
