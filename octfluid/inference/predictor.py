"""One way from a scan to a measured answer, for the command, the page and Python; runs ONNX and nothing else."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.inference import measure, ood
from octfluid.inference.measure import ScanMeasurement, SectorVolume, Settings
from octfluid.inference.model import ScanModel
from octfluid.io.readers import find_inputs
from octfluid.io.scan import Scan, Spacing, whiten_filling
from octfluid.utils.errors import InputError, WorkError

__all__ = ['Frame', 'Outline', 'Prediction', 'Predictor', 'Settings', 'Spacing']

PathLike = str | os.PathLike
_JUDGED = 16  # B-scans of a volume that the out-of-domain warning looks at


@dataclass(frozen=True)
class Frame:
    """One B-scan, outlined and measured.

    Attributes:
        gray: Gray values, uint8 (H, W).
        probability: Of fluid, float32 (H, W), in [0, 1].
        mask: Where fluid is, bool (H, W).
        measured: Its measurements, with its place in the scan.
    """

    gray: np.ndarray
    probability: np.ndarray
    mask: np.ndarray
    measured: ScanMeasurement


@dataclass(frozen=True)
class Prediction:
    """What was found in a scan.

    Attributes:
        path: Its file, or the folder of a volume.
        series: Which of several volumes of the file, else empty.
        masks: bool (Z, H, W), where fluid is; Z is 1 for a single B-scan, and 0 if masks were not kept.
        probability: float32 (Z, H, W), in [0, 1], if it was asked for, else None.
        spacing: Scale in mm, or None: then nothing is in mm.
        spacing_from: 'file' or 'given', None without a scale.
        laterality: 'OD', 'OS', or None.
        is_volume: Whether the B-scans lie side by side.
        device: What the file calls the instrument, or None.
        bottom_up: Whether the first B-scan is the lowest of the eye, or None if that is not known.
        scans: Measurements of each B-scan.
        fluid_mm3: Volume of fluid, or None without a volume or a scale.
        thickness_px: int32 (Z, W), fluid pixels of each A-scan.
        sectors: Volume by ETDRS sector, empty where it is not asked for or not known.
        warnings: What to know before you believe the numbers, a sentence each.
        identifiers: Fields of the file that name a person or a day.
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

    def summary(self) -> str:
        """Return one sentence: how much fluid, and where."""
        fluid = sum(found.fluid_px for found in self.scans)
        if self.is_volume:
            marked = sum(found.fluid_px > 0 for found in self.scans)
            volume = '' if self.fluid_mm3 is None else f', {self.fluid_mm3:.4f} mm3'
            return f'fluid in {marked} of {len(self.scans)} B-scans, {fluid} px{volume}'
        areas = [found.fluid_mm2 for found in self.scans]
        area = '' if None in areas else f', {sum(areas):.4f} mm2'
        return f'fluid {fluid} px{area}, in {sum(found.pockets for found in self.scans)} pockets'


class Outline:
    """One pass over a scan. Iterate once: each B-scan is decoded, outlined and measured; then call `prediction`.

    Args:
        predictor: Gives the model and the look of its training.
        scan: From `octfluid.io.readers`.
        settings: What the user says about it.
        known: Probabilities of an earlier pass over this scan, (Z, H, W): the model does not run again.

    Attributes:
        scan: The scan.
        spacing: Scale in mm, or None.
        laterality: 'OD', 'OS', or None.

    Raises:
        InputError, WorkError: While iterating: a B-scan cannot be read or has another size, the fovea is outside of the scan,
            or the runtime fails.
    """

    def __init__(self, predictor: 'Predictor', scan: Scan, settings: Settings, known: np.ndarray | None = None) -> None:
        self.predictor, self.scan, self.settings, self.known = predictor, scan, settings, known
        self.spacing, self.spacing_from, self._warnings = measure.scale_of(scan, settings)
        self.laterality = settings.laterality or scan.laterality
        self.threshold = predictor.model.info.threshold if settings.threshold is None else settings.threshold
        self._measured: list[ScanMeasurement] = []
        self._columns: list[np.ndarray] = []
        self._features: list[np.ndarray] = []
        self._shape: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[Frame]:
        held: list[np.ndarray] = []  # the model takes a few B-scans at a time
        for place, probability in enumerate(self._probabilities(held)):
            mask = probability > self.threshold
            measured = measure.measure_scan(place, mask, probability, self.spacing, self.scan.file_of(place))
            self._measured.append(measured)
            self._columns.append(measure.thickness(mask))
            yield Frame(np.rint(held.pop(0)).astype(np.uint8), probability, mask, measured)

    def _probabilities(self, held: list[np.ndarray]) -> Iterator[np.ndarray]:
        if self.known is not None:
            yield from (known for _, known in zip(self._decoded(held), self.known, strict=True))
            return
        try:
            yield from self.predictor.model.stream(self._decoded(held), scaled=True)
        except (InputError, WorkError) as error:
            where = str(self.scan.path)
            raise type(error)(str(error) if where in str(error) else f'{where}: {error}') from error

    def _decoded(self, held: list[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield what the model sees of each B-scan; the gray values go to ``held``."""
        number = len(self.scan.frames)
        judged = set(np.linspace(0, number - 1, min(_JUDGED, number)).astype(int).tolist())
        for place, gray in enumerate(map(np.asarray, self.scan.frames)):
            if gray.ndim != 2 or not gray.size:
                raise InputError(f'{self.scan.path}: B-scan {place} has shape {gray.shape}; expected (height, width)')
            if place == 0:
                self._shape = gray.shape
                self._require_fovea(number, gray.shape[1])
            if gray.shape != self._shape:
                raise InputError(
                    f'{self.scan.path}: B-scan {place} has {gray.shape[0]}x{gray.shape[1]} pixels, unlike the '
                    f'{self._shape[0]}x{self._shape[1]} of the first; expected one size in a file'
                )
            seen = whiten_filling(gray)
            if place in judged:
                self._features.append(ood.features(seen))
            held.append(gray)
            yield seen

    def _require_fovea(self, number: int, width: int) -> None:
        fovea = self.settings.fovea
        if fovea is not None and not (0 <= fovea[0] < number and 0 <= fovea[1] < width):
            raise InputError(
                f'fovea at B-scan {fovea[0]:g}, column {fovea[1]:g}: expected one within the {number} B-scans and {width} '
                f'columns of {self.scan.path}, counted from 0'
            )

    def prediction(self, masks: np.ndarray | None = None, probability: np.ndarray | None = None) -> Prediction:
        """Return what was found; call it after the last frame.

        Args:
            masks: Those of the frames, bool (Z, H, W), if they were kept.
            probability: Those of the frames, float32 (Z, H, W), if they were kept.
        """
        scan, spacing, domain = self.scan, self.spacing, self.predictor.model.info.domain
        columns = np.stack(self._columns)
        doubts = spacing.doubts(self._shape[1]) if spacing else []
        warnings = [*self._warnings, *(f'the scale ({self.spacing_from}) makes {one}; check what is in mm' for one in doubts)]
        warnings += ood.judge(self._features, scan.coloured, self.predictor.look, domain.get('device', 'unknown'))
        if scan.laterality not in (None, self.laterality):
            warnings.append(f'the given side, {self.laterality}, is used; the file says {scan.laterality}')
        sectors, why_not = measure.sectors_of_volume(scan, columns, spacing, self.laterality, self.settings)
        volume = measure.volume_mm3([one.fluid_px for one in self._measured], spacing) if scan.is_volume else None
        return Prediction(
            path=scan.path,
            series=scan.series,
            masks=np.zeros((0, *self._shape), bool) if masks is None else masks,
            probability=probability,
            spacing=spacing,
            spacing_from=self.spacing_from,
            laterality=self.laterality,
            is_volume=scan.is_volume,
            device=scan.device,
            bottom_up=scan.raster.bottom_up if self.settings.bottom_up is None else self.settings.bottom_up,
            scans=tuple(self._measured),
            fluid_mm3=volume,
            thickness_px=columns,
            sectors=tuple(sectors),
            warnings=(*warnings, *why_not, *scan.notes),
            identifiers=dict(scan.identifiers),
        )


def _scans_of(path: PathLike, volume: bool, recursive: bool = False) -> Iterator[Scan]:
    if not isinstance(path, PathLike) or not str(path):
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
        model: The loaded model; its ``info`` is its metadata.
        look: How the scans of its training look, or None.

    Raises:
        InputError: The model is missing, damaged or not one of octfluid.

    Example:
        >>> found = Predictor().predict('scan.png')
        >>> found.masks.shape, found.scans[0].fluid_px
        ((1, 496, 768), 0)
    """

    def __init__(self, model: PathLike | None = None, threads: int = 0) -> None:
        self.model = ScanModel(model, threads)
        self.look = ood.Look.from_json(self.model.info.domain.get('look'))

    def predict(self, path: PathLike, *, volume: bool = False, probability: bool = False, **settings: Any) -> Prediction:
        """Read a file that holds one scan, outline its fluid and measure it.

        Args:
            path: A B-scan or a volume; with ``volume``, a folder of B-scans.
            volume: Take a folder as one volume.
            probability: Keep the probabilities.
            **settings: Those of `Settings`.

        Raises:
            InputError: It cannot be read, or holds several scans (`predict_all` takes those), or a setting makes no sense.
            WorkError: The runtime fails, as when memory runs out.
        """
        wanted = Settings(**settings)
        scan, *more = islice(_scans_of(path, volume), 2)
        if more:
            raise InputError(f'{path}: holds several scans; use predict_all for these')
        return self.predict_scan(scan, wanted, probability=probability)

    def predict_all(
        self, path: PathLike, *, volume: bool = False, recursive: bool = False, probability: bool = False, **settings: Any
    ) -> Iterator[Prediction]:
        """Read a file or a folder, scan by scan; as `predict`, and ``recursive`` takes folders below, too."""
        wanted = Settings(**settings)
        for scan in _scans_of(path, volume, recursive):
            yield self.predict_scan(scan, wanted, probability=probability)

    def predict_scan(self, scan: Scan, settings: Settings | None = None, *, probability: bool = False) -> Prediction:
        """Outline and measure a scan from `octfluid.io.readers`; with ``probability``, keep the probabilities."""
        outline = Outline(self, scan, settings or Settings())
        kept = [(frame.mask, frame.probability if probability else None) for frame in outline]
        masks, probabilities = zip(*kept, strict=True)
        return outline.prediction(np.stack(masks), np.stack(probabilities) if probability else None)
