"""What a visitor of the page does with a scan, without anything of the page itself."""

import io
import json
import tempfile
import time
import zipfile
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference import outputs
from octfluid.inference.manifest import MANIFEST, MEASUREMENTS, manifest_of, sha256_of
from octfluid.inference.predictor import Prediction, Predictor, Settings
from octfluid.inference.settings import SCALE_OPTION
from octfluid.io.readers import read_scans, stem_of_file
from octfluid.io.results import write_png
from octfluid.io.scan import Frames, Scan, Spacing
from octfluid.utils.errors import InputError, WorkError
from octfluid.visualization.enface import draw_enface, row_to_bscan
from octfluid.visualization.overlay import colour_fluid, enlarged_scan, enlargement

TABLE_COLUMNS = ('B-scan', 'fluid, px', 'fluid, mm²', 'pockets', 'largest pocket, px', 'mean probability')
_BYTES_A_PIXEL = 6  # gray value, probability, mask


@dataclass(frozen=True)
class Limits:
    """How much of a computer one scan may take.

    Attributes:
        seconds: Of work on it.
        pixels: Of all its B-scans together.
    """

    seconds: float = 300
    pixels: int = (1 << 30) // _BYTES_A_PIXEL


NO_MORE_THAN = Limits()


@dataclass(frozen=True)
class Viewed:
    """A scan that has been outlined, as long as a visitor looks at it.

    Attributes:
        name: Its file's name without suffix.
        file: Its file's name.
        sha256: Of its file.
        scan: With its B-scans in memory, uint8 (H, W).
        probability: float32 (Z, H, W).
        settings: What the visitor said of it; the threshold is the one that is shown.
        prediction: At that threshold.
    """

    name: str
    file: str
    sha256: str
    scan: Scan
    probability: np.ndarray
    settings: Settings
    prediction: Prediction

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return _BYTES_A_PIXEL * self.probability.size

    @property
    def warnings(self) -> list[str]:
        """What to know before believing any of it, in words for who has a page and no command line."""
        return [warning.replace(SCALE_OPTION, 'in the field Scale') for warning in self.prediction.warnings]


def parse_spacing(text: str | None) -> Spacing | None:
    """Read what a visitor typed: ``axial, lateral[, slice]`` in mm; nothing is None.

    Raises:
        InputError: It is something else.
    """
    if not text or not text.strip():
        return None
    try:
        values = [float(part) for part in text.replace(';', ',').split(',')]
    except ValueError:
        values = []
    if len(values) not in (2, 3) or not all(0 < value < float('inf') for value in values):
        raise InputError(
            f'scale "{text.strip()[:40]}": expected height, width[, distance] in mm, such as 0.00387, 0.01133, 0.123'
        )
    return Spacing(*values)


def example_file(folder: Path) -> Path:
    """Write the example, a phantom (a toy scan that is nobody's), and return its path."""
    path = folder / 'example.png'
    if not path.exists():
        write_png(path, make_phantom(3, 496, 768, fluid=True)[0])
    return path


def outline(
    predictor: Predictor, path: Path, settings: Settings, limits: Limits = NO_MORE_THAN
) -> Generator[tuple[int, int], None, Viewed]:
    """Outline a file's first scan: yields (B-scans done, B-scans in all), and returns what is to be seen.

    Raises:
        InputError, WorkError: As `octfluid.inference.predictor.Predictor.steps`, and if it takes more than ``limits``.
    """
    begun = time.monotonic()
    scans = read_scans(path)
    scan, frames, probabilities = scans[0], [], []

    def keep(place: int, gray: np.ndarray, probability: np.ndarray, _: np.ndarray) -> None:
        number = len(scan.frames)
        if number * gray.size > limits.pixels:
            raise InputError(
                f'{path.name}: {number} B-scans of {gray.shape[0]}x{gray.shape[1]} pixels are too much for the page; expected '
                f'{limits.pixels / 1e6:.0f} million pixels at most; use tools/predict.py'
            )
        if time.monotonic() - begun > limits.seconds:
            raise WorkError(
                f'{path.name}: {place} of {number} B-scans are done after {limits.seconds:g} s, the most that this page gives '
                'a scan; try again when fewer people use it, or use tools/predict.py'
            )
        frames.append(gray)
        probabilities.append(probability)

    with closing(predictor.steps(scan, settings, on_frame=keep)) as steps:
        while True:
            try:
                yield next(steps), len(scan.frames)
            except StopIteration as end:
                prediction = end.value
                break
    if len(scans) > 1:
        more = f'the file holds {len(scans)} scans, of which this is the first; tools/predict.py does all of them'
        prediction = replace(prediction, warnings=(*prediction.warnings, more))
    held = replace(scan, frames=Frames(len(frames), frames.__getitem__))
    return Viewed(stem_of_file(path), path.name, sha256_of(path), held, np.stack(probabilities), settings, prediction)


def at_threshold(predictor: Predictor, viewed: Viewed, threshold: float) -> Viewed:
    """Return the same scan at another threshold; the model is not run again."""
    settings = replace(viewed.settings, threshold=threshold)
    prediction = predictor.predict_scan(viewed.scan, settings, known=viewed.probability)
    return replace(viewed, settings=settings, prediction=prediction)


def picture(viewed: Viewed, place: int, opacity: float) -> np.ndarray:
    """Return a B-scan with its fluid coloured over it: RGB, uint8, enlarged as on overlays.

    Args:
        viewed: The scan.
        place: Of the B-scan, from 0.
        opacity: Of the colour, in [0, 1].
    """
    gray, mask = viewed.scan.frames[place], viewed.prediction.masks[place]
    scale = enlargement(gray.shape)
    plain = enlarged_scan(gray, scale).astype(np.float32)
    return np.rint(plain + opacity * (colour_fluid(gray, mask, None, scale) - plain)).astype(np.uint8)


def table(viewed: Viewed) -> list[list[Any]]:
    """Return the lines of the table, one a B-scan, under `TABLE_COLUMNS`."""
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


def enface(viewed: Viewed) -> np.ndarray | None:
    """Return the map of a volume from above, RGB uint8; None of what is no volume."""
    prediction = viewed.prediction
    return draw_enface(prediction.thickness_px, prediction.spacing, prediction.bottom_up) if prediction.is_volume else None


def bscan_at(viewed: Viewed, row: int) -> int | None:
    """Return which B-scan lies at a row of `enface`; None below the map."""
    prediction = viewed.prediction
    return row_to_bscan(row, prediction.thickness_px.shape, prediction.spacing, prediction.bottom_up)


def summary(viewed: Viewed) -> str:
    """Say in a sentence what was found."""
    prediction = viewed.prediction
    fluid = sum(found.fluid_px for found in prediction.scans)
    if prediction.is_volume:
        marked = sum(found.fluid_px > 0 for found in prediction.scans)
        volume = '' if prediction.fluid_mm3 is None else f', {prediction.fluid_mm3:.4f} mm³'
        return f'Fluid in {marked} of {len(prediction.scans)} B-scans, {fluid} px{volume}.'
    areas = [found.fluid_mm2 for found in prediction.scans]
    area = '' if None in areas else f', {sum(areas):.4f} mm²'
    return f'Fluid: {fluid} px{area}, in {sum(found.pockets for found in prediction.scans)} pockets.'


def download(predictor: Predictor, viewed: Viewed) -> bytes:
    """Return a ZIP with the files that ``tools/predict.py`` writes for the scan."""
    with tempfile.TemporaryDirectory(prefix='octfluid-page-') as folder:
        out = Path(folder)
        scan, settings = viewed.scan, viewed.settings
        spacing, side = viewed.prediction.spacing, viewed.prediction.laterality
        with outputs.ScanWriter(out, viewed.name, scan, spacing, side, save_probability=False) as writer:
            prediction = predictor.predict_scan(scan, settings, known=viewed.probability, on_frame=writer.on_frame)
            writer.finish(prediction)
        outputs.write_tables(out, outputs.rows_of(viewed.name, prediction))
        given = {key: value for key, value in asdict(settings).items() if value is not None}
        manifest = manifest_of(predictor, given)
        entry = dict(input=viewed.name, file=viewed.file, sha256=viewed.sha256, status='done')
        manifest['inputs'].append(entry | dict(warnings=list(prediction.warnings), outputs=writer.files))
        measured = [outputs.to_json(viewed.name, prediction, keep_identifiers=False)]
        for name, content in ((MANIFEST, manifest), (MEASUREMENTS, measured)):
            (out / name).write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in out.rglob('*') if path.is_file()):
                archive.write(path, path.relative_to(out).as_posix())
        return packed.getvalue()
