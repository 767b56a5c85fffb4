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
from octfluid.inference.measure import SCALE_OPTION
from octfluid.inference.outputs import Results, sha256_of
from octfluid.inference.predictor import Outline, Prediction, Predictor, Settings, Spacing
from octfluid.io.readers import read_scans, stem_of_file
from octfluid.io.results import write_png
from octfluid.io.scan import Frames, Scan
from octfluid.utils.errors import InputError
from octfluid.visualization.overlay import colour_fluid, enlarged_scan, enlargement

TABLE_COLUMNS = ('B-scan', 'fluid, px', 'fluid, mm²', 'pockets', 'largest pocket, px', 'mean probability')


@dataclass(frozen=True)
class Viewed:
    """A scan that has been outlined.

    Attributes:
        path: Its file.
        sha256: Of its file.
        scan: With its B-scans in memory, uint8 (H, W).
        probability: float32 (Z, H, W).
        settings: What the user said about it; the threshold is the one that is shown.
        prediction: At that threshold.
    """

    path: Path
    sha256: str
    scan: Scan
    probability: np.ndarray
    settings: Settings
    prediction: Prediction

    @property
    def warnings(self) -> list[str]:
        """Warnings, in the words of the page."""
        return [warning.replace(SCALE_OPTION, 'in the field Scale') for warning in self.prediction.warnings]


def parse_spacing(text: str | None) -> Spacing | None:
    """Read the field Scale: ``axial, lateral[, slice]`` in mm; empty is None.

    Raises:
        InputError: It is something else.
    """
    if not text or not text.strip():
        return None
    try:
        return Spacing(*map(float, text.replace(';', ',').split(',')))
    except (ValueError, TypeError, InputError) as error:
        raise InputError(
            f'scale "{text.strip()[:40]}": expected height, width[, distance] in mm, such as 0.004, 0.011'
        ) from error


def example_file() -> str:
    """Write the example, a phantom, and return its path."""
    path = Path(tempfile.mkdtemp()) / 'example.png'
    write_png(path, make_phantom(3, 496, 768, fluid=True)[0])
    return str(path)


def outline(predictor: Predictor, path: Path, settings: Settings) -> Generator[tuple[int, int], None, Viewed]:
    """Outline the first scan of a file: yields (B-scans done, B-scans in all), and returns what there is to see.

    Raises:
        InputError, WorkError: As `octfluid.inference.predictor.Outline`.
    """
    scan, *more = read_scans(path)
    grays, probabilities, masks = [], [], []
    going = Outline(predictor, scan, settings)
    for frame in going:
        grays.append(frame.gray)
        probabilities.append(frame.probability)
        masks.append(frame.mask)
        yield len(masks), len(scan.frames)
    prediction = going.prediction(np.stack(masks))
    if more:
        only = f'the file holds {1 + len(more)} scans, and this is the first; tools/predict.py does all of them'
        prediction = replace(prediction, warnings=(*prediction.warnings, only))
    held = replace(scan, frames=Frames(len(grays), grays.__getitem__))
    return Viewed(path, sha256_of(path), held, np.stack(probabilities), settings, prediction)


def at_threshold(predictor: Predictor, viewed: Viewed, threshold: float) -> Viewed:
    """Return the same scan at another threshold; the model does not run again."""
    settings = replace(viewed.settings, threshold=threshold)
    going = Outline(predictor, viewed.scan, settings, viewed.probability)
    masks = np.stack([frame.mask for frame in going])
    return replace(viewed, settings=settings, prediction=going.prediction(masks))


def picture(viewed: Viewed, place: int, opacity: float) -> np.ndarray:
    """Return the B-scan at a place from 0 with its fluid in colour of an opacity in [0, 1]: RGB, uint8, enlarged."""
    gray, mask = viewed.scan.frames[place], viewed.prediction.masks[place]
    scale = enlargement(gray.shape)
    plain = enlarged_scan(gray, scale).astype(np.float32)
    return np.rint(plain + opacity * (colour_fluid(gray, mask, None, scale) - plain)).astype(np.uint8)


def table(viewed: Viewed) -> list[list[Any]]:
    """Return the rows of the table, one a B-scan, under `TABLE_COLUMNS`."""
    return [
        [
            found.index,
            found.fluid_px,
            '' if found.fluid_mm2 is None else f'{found.fluid_mm2:.4f}',
            found.pockets,
            found.largest_pocket_px,
            '' if found.mean_probability is None else f'{found.mean_probability:.2f}',
        ]
        for found in viewed.prediction.scans
    ]


def download(predictor: Predictor, viewed: Viewed) -> bytes:
    """Return a ZIP with the files that ``tools/predict.py`` writes for the scan."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
        given = {key: value for key, value in asdict(viewed.settings).items() if value is not None}
        results = Results(Path(folder), predictor, given)
        entry = results.add_input(stem_of_file(viewed.path), viewed.path)
        entry['sha256'] = viewed.sha256
        results.write_scan(entry, Outline(predictor, viewed.scan, viewed.settings, viewed.probability))
        results.finish()
        for path in sorted(path for path in Path(folder).rglob('*') if path.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
    return packed.getvalue()
