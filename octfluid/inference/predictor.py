"""One way from a file to a measured answer, for the command, the page and Python alike; runs ONNX and nothing else."""

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.inference import ood as domain
from octfluid.inference.etdrs import SectorVolume
from octfluid.inference.measurements import ScanMeasurement, measure_scan, thickness, volume_mm3
from octfluid.inference.model import ScanModel
from octfluid.inference.settings import AS_THE_FILE_SAYS, Settings, check_fovea, scale_of, sectors_of_volume
from octfluid.io.readers import find_inputs
from octfluid.io.scan import Scan, Spacing, whiten_filling
from octfluid.utils.errors import InputError, WorkError

_JUDGED = 16  # B-scans of a volume are looked at to tell whether it is what the model was made for
OnFrame = Callable[[int, np.ndarray, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Prediction:
    """What was found in a scan.

    Attributes:
        path: Its file, or the folder of a volume.
        series: Which of several volumes of the file, else empty.
        masks: bool (Z, H, W), where fluid is; Z is 1 for a single B-scan, and 0 if masks were not to be kept.
        probability: float32 (Z, H, W), in [0, 1], if it was asked for, else None.
        spacing: Scale in mm, or None: then nothing is in mm.
        spacing_from: 'file' or 'given', None without a scale.
        laterality: 'OD', 'OS', or None.
        is_volume: Whether the B-scans lie side by side.
        device: What the file calls the instrument, or None.
        bottom_up: Whether the first B-scan is the lowest of the eye, or None if that is not known.
        scans: Measurements of each B-scan.
        fluid_mm3: Volume of fluid, or None where there is no volume or no scale.
        thickness_px: int32 (Z, W), fluid pixels of each A-scan.
        sectors: Volume by ETDRS sector, empty where it is not asked for or not known.
        warnings: What to know before believing any of it, a sentence each.
        identifiers: What names a person or a day, as the file has it.
    """

    path: Path
    series: str
    masks: np.ndarray
    probability: np.ndarray | None
    spacing: Spacing | None
    spacing_from: str | None
    laterality: str | None
    is_volume: bool
    device: str | None
    bottom_up: bool | None
    scans: tuple[ScanMeasurement, ...]
    fluid_mm3: float | None
    thickness_px: np.ndarray
    sectors: tuple[SectorVolume, ...]
    warnings: tuple[str, ...]
    identifiers: dict[str, str]


class _Found:
    """What has been found in the B-scans of a scan so far."""

    def __init__(self, keep_masks: bool, keep_probability: bool) -> None:
        self.masks: list[np.ndarray] | None = [] if keep_masks else None
        self.kept: list[np.ndarray] | None = [] if keep_probability else None
        self.measured: list[ScanMeasurement] = []
        self.columns: list[np.ndarray] = []
        self.shape: tuple[int, ...] = ()

    def add(self, scan: Scan, place: int, probability: np.ndarray, mask: np.ndarray, spacing: Spacing | None) -> None:
        """Measure the next B-scan; raise InputError if it is of another size than the first."""
        self.shape = self.shape or mask.shape
        if self.shape != mask.shape:
            raise InputError(
                f'{scan.path}: B-scan {place} has {mask.shape[0]}x{mask.shape[1]} pixels, unlike the '
                f'{self.shape[0]}x{self.shape[1]} of the first; expected one size in a file'
            )
        self.measured.append(measure_scan(place, mask, probability, spacing, scan.file_of(place)))
        self.columns.append(thickness(mask))
        for kept, one in ((self.masks, mask), (self.kept, probability)):
            if kept is not None:
                kept.append(one)

    def prediction(
        self, scan: Scan, settings: Settings, spacing: Spacing | None, spacing_from: str | None, warnings: list[str]
    ) -> Prediction:
        """Return all of it, with what takes the whole scan."""
        thick = np.stack(self.columns)
        laterality = settings.laterality or scan.laterality
        sectors, why_not = sectors_of_volume(scan, thick, spacing, laterality, settings)
        if scan.laterality not in (None, laterality):
            warnings = [*warnings, f'the given side, {laterality}, is used; the file says {scan.laterality}']
        return Prediction(
            path=scan.path,
            series=scan.series,
            masks=np.stack(self.masks) if self.masks else np.zeros((0, *self.shape), bool),
            probability=None if self.kept is None else np.stack(self.kept),
            spacing=spacing,
            spacing_from=spacing_from,
            laterality=laterality,
            is_volume=scan.is_volume,
            device=scan.device,
            bottom_up=scan.raster.bottom_up if settings.bottom_up is None else settings.bottom_up,
            scans=tuple(self.measured),
            fluid_mm3=volume_mm3([one.fluid_px for one in self.measured], spacing) if scan.is_volume else None,
            thickness_px=thick,
            sectors=tuple(sectors),
            warnings=(*warnings, *why_not, *scan.notes),
            identifiers=dict(scan.identifiers),
        )


def _scans_of(path: str | os.PathLike, volume: bool, recursive: bool = False) -> Iterator[Scan]:
    """Yield what files hold, each read when it is asked for."""
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise InputError(
            f'{path!r:.40}: expected the path of a scan; for an array use Predictor.model.mask, on (number, height, width)'
        )
    for one in find_inputs([Path(path)], volume, recursive):
        yield from one.read()


class Predictor:
    """Outlines and measures fluid.

    Args:
        model: A file that ``tools/export_onnx.py`` wrote; None for the one that comes with the package.
        threads: Threads of ONNX Runtime; 0 for one a core.

    Attributes:
        model: The loaded model; its ``info`` says what it was made for.

    Raises:
        InputError: The model is missing, damaged or none of ours.

    Example:
        >>> found = Predictor().predict('scan.png')
        >>> found.masks.shape, found.scans[0].fluid_px
        ((1, 496, 768), 0)
    """

    def __init__(self, model: str | os.PathLike | None = None, threads: int = 0) -> None:
        self.model = ScanModel(model, threads)
        self._look = domain.Look.from_json(self.model.info.domain.get('look'))

    def predict(
        self, path: str | os.PathLike, *, volume: bool = False, probability: bool = False, **settings: Any
    ) -> Prediction:
        """Read a file that holds one scan, outline its fluid and measure it.

        Args:
            path: A B-scan or a volume; with ``volume``, a folder of B-scans.
            volume: Take a folder as one volume.
            probability: Keep the probabilities.
            **settings: Those of `Settings`.

        Raises:
            InputError: It cannot be read, or holds several scans (`predict_all` takes those), or a setting makes no sense.
            WorkError: The runtime fails, as for want of memory.
        """
        wanted = Settings(**settings)
        scan, *more = islice(_scans_of(path, volume), 2)
        if more:
            raise InputError(f'{path}: holds several scans; use predict_all for these')
        return self.predict_scan(scan, wanted, keep_probability=probability)

    def predict_all(
        self,
        path: str | os.PathLike,
        *,
        volume: bool = False,
        recursive: bool = False,
        probability: bool = False,
        **settings: Any,
    ) -> Iterator[Prediction]:
        """Read files, or all of a folder, one after the other; arguments as for `predict`, and ``recursive`` for folders below.

        Raises:
            InputError, WorkError: As `predict`, for the scan that is next.
        """
        wanted = Settings(**settings)
        for scan in _scans_of(path, volume, recursive):
            yield self.predict_scan(scan, wanted, keep_probability=probability)

    def predict_scan(self, scan: Scan, settings: Settings = AS_THE_FILE_SAYS, **options: Any) -> Prediction:
        """Outline and measure a scan that has been read; arguments and errors as for `steps`."""
        steps = self.steps(scan, settings, **options)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    def steps(
        self,
        scan: Scan,
        settings: Settings = AS_THE_FILE_SAYS,
        *,
        keep_masks: bool = True,
        keep_probability: bool = False,
        on_frame: OnFrame | None = None,
        known: np.ndarray | None = None,
    ) -> Generator[int, None, Prediction]:
        """Outline and measure a scan B-scan by B-scan: yields how many are done, and returns the prediction.

        Args:
            scan: From `octfluid.io.readers`.
            settings: What the user says of it.
            keep_masks: Return the masks; else memory does not grow with them.
            keep_probability: Return the probabilities, too.
            on_frame: Called for each B-scan, in order, with its place, its gray values uint8 (H, W), its probability and its
                mask.
            known: Probabilities of an earlier prediction of this scan, (Z, H, W): the model is not run again.

        Raises:
            InputError: A B-scan cannot be read or is of another size, or a setting makes no sense.
            WorkError: The runtime fails.
        """
        spacing, spacing_from, warnings = scale_of(scan, settings)
        threshold = self.model.info.threshold if settings.threshold is None else settings.threshold
        check_fovea(scan, settings)
        looks: list[np.ndarray] = []
        found = _Found(keep_masks, keep_probability)
        for place, (gray, probability) in enumerate(self._frames(scan, looks, known)):
            mask = probability > threshold
            found.add(scan, place, probability, mask, spacing)
            if on_frame is not None:
                on_frame(place, np.rint(gray).astype(np.uint8), probability, mask)
            yield place + 1
        warnings += domain.judge(looks, scan.coloured, self._look, self.model.info.domain.get('device', 'unknown'))
        return found.prediction(scan, settings, spacing, spacing_from, warnings)

    def _frames(self, scan: Scan, looks: list[np.ndarray], known: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield gray values and probability of each B-scan; a few at a time are held. What some look like goes to ``looks``."""
        held: list[np.ndarray] = []
        judged = set(np.linspace(0, len(scan.frames) - 1, min(_JUDGED, len(scan.frames))).astype(int).tolist())

        def passing() -> Iterator[np.ndarray]:
            for place, gray in enumerate(map(np.asarray, scan.frames)):
                if gray.ndim != 2 or not gray.size:
                    raise InputError(f'{scan.path}: B-scan {place} has shape {gray.shape}; expected (height, width)')
                seen = whiten_filling(gray)
                if place in judged:
                    looks.append(domain.features(seen))
                held.append(gray)
                yield seen

        if known is not None:
            yield from zip(passing(), known, strict=True)
            return
        try:
            for probability in self.model.stream(passing(), scaled=True):
                yield held.pop(0), probability
        except (InputError, WorkError) as error:
            where = str(scan.path)
            raise type(error)(str(error) if str(error).startswith(where) else f'{where}: {error}') from error
