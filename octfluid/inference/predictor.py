"""One way from a scan to a measured answer, for the command, the page and Python; runs ONNX and nothing else."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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

PathLike = str | os.PathLike
_JUDGED = 16  # B-scans of a volume that the out-of-domain warning looks at


@dataclass(frozen=True)
class Frame:
    """One B-scan, outlined and measured."""

    gray: np.ndarray  # gray values, uint8 (H, W)
    probability: np.ndarray | None  # of fluid, float32 (H, W), in [0, 1]; None if it is not kept
    mask: np.ndarray  # where fluid is, bool (H, W)
    measured: ScanMeasurement  # with its place in the scan
    features: np.ndarray | None  # of `octfluid.inference.ood`, (4,), where the out-of-domain warning looks

    def at_threshold(self, threshold: float, spacing: Spacing | None) -> 'Frame':
        """Return the B-scan outlined and measured at another threshold."""
        mask, found = self.probability > threshold, self.measured
        return replace(self, mask=mask, measured=measure.measure_scan(found.index, mask, self.probability, spacing, found.file))


@dataclass(frozen=True)
class Prediction:
    """What was found in a scan of Z B-scans.

    Attributes:
        scan: As it was read: path, device, identifiers and so on.
        frames: Its B-scans in order.
        spacing: Scale in mm, or None: then nothing is in mm.
        spacing_from: 'file' or 'given', None without a scale.
        laterality: 'OD', 'OS', or None.
        bottom_up: Whether the first B-scan is the lowest of the eye, or None if that is not known.
        fluid_mm3: Volume of fluid, or None without a volume or a scale.
        sectors: Volume by ETDRS sector, empty where it is not asked for or not known.
        warnings: What to know before you believe the numbers, a sentence each.
    """

    scan: Scan
    frames: tuple[Frame, ...]
    spacing: Spacing | None
    spacing_from: str | None
    laterality: str | None
    bottom_up: bool | None
    fluid_mm3: float | None
    sectors: tuple[SectorVolume, ...]
    warnings: tuple[str, ...]

    @property
    def scans(self) -> tuple[ScanMeasurement, ...]:
        """Measurements of each B-scan."""
        return tuple(frame.measured for frame in self.frames)

    @property
    def masks(self) -> np.ndarray:
        """Where fluid is: bool (Z, H, W)."""
        return np.stack([frame.mask for frame in self.frames])

    @property
    def probability(self) -> np.ndarray | None:
        """Probabilities in [0, 1], float32 (Z, H, W), if they were asked for."""
        kept = [frame.probability for frame in self.frames]
        return None if kept[0] is None else np.stack(kept)

    @property
    def thickness_px(self) -> np.ndarray:
        """Fluid pixels of each A-scan: whole numbers, (Z, W)."""
        return np.stack([np.count_nonzero(frame.mask, axis=0) for frame in self.frames])

    @property
    def fluid_px(self) -> int:
        """Fluid pixels of all B-scans."""
        return sum(found.fluid_px for found in self.scans)

    def summary(self) -> str:
        """Return one sentence: how much fluid, and where."""
        if self.scan.is_volume:
            marked = sum(found.fluid_px > 0 for found in self.scans)
            volume = '' if self.fluid_mm3 is None else f', {self.fluid_mm3:.4f} mm3'
            return f'fluid in {marked} of {len(self.scans)} B-scans, {self.fluid_px} px{volume}'
        area = '' if self.spacing is None else f', {sum(found.fluid_mm2 for found in self.scans):.4f} mm2'
        return f'fluid {self.fluid_px} px{area}, in {sum(found.pockets for found in self.scans)} pockets'


def _scans_of(path: PathLike, volume: bool, recursive: bool = False) -> Iterator[Scan]:
    for one in find_inputs([Path(path)], volume, recursive)[0]:
        yield from one.read()


class Predictor:
    """Outlines and measures fluid.

    Args:
        model: A file that ``tools/export_onnx.py`` wrote; None for the one that comes with the package. Or a loaded model with
            the ``info``, ``path``, ``provenance`` and ``stream`` of `ScanModel`: `octfluid.engine.network.NetworkModel`.
        threads: Threads of ONNX Runtime; 0 for one a core.

    Attributes:
        model: The loaded model; its ``info`` is its metadata.

    Raises:
        InputError: The model is missing, damaged or not one of octfluid.

    Example:
        >>> found = Predictor().predict('scan.png')
        >>> found.masks.shape, found.scans[0].fluid_px
        ((1, 496, 768), 0)
    """

    def __init__(self, model: PathLike | ScanModel | None = None, threads: int = 0) -> None:
        self.model = model if hasattr(model, 'stream') else ScanModel(model, threads)

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
        wanted = settings or Settings()
        return self.conclude(scan, wanted, tuple(self.outline(scan, wanted, probability)))

    def outline(self, scan: Scan, settings: Settings, probability: bool) -> Iterator[Frame]:
        """Outline and measure one B-scan after the other; with ``probability``, keep the probabilities.

        Raises:
            InputError: A B-scan has another size, or the fovea is outside of the scan.
            WorkError: The runtime fails.
        """
        shapes = [np.shape(frame) for frame in scan.frames]
        if bad := [place for place, one in enumerate(shapes) if len(one) != 2 or 0 in one or one != shapes[0]]:
            expected = 'expected (height, width), as the first has'
            raise InputError(f'{scan.path}: B-scan {bad[0]} has shape {shapes[bad[0]]}; {expected}')
        if (fovea := settings.fovea) and not (0 <= fovea[0] < len(shapes) and 0 <= fovea[1] < shapes[0][1]):
            size = f'{len(shapes)} B-scans and {shapes[0][1]} columns of {scan.path}'
            raise InputError(f'fovea at B-scan {fovea[0]:g}, column {fovea[1]:g}: expected one within the {size}, from 0')
        threshold = self.model.info.threshold if settings.threshold is None else settings.threshold
        spacing, number = measure.scale_of(scan, settings)[0], len(scan.frames)
        judged = set(np.linspace(0, number - 1, min(_JUDGED, number)).astype(int).tolist())
        seen = [whiten_filling(gray) for gray in scan.frames]
        try:
            for place, found in enumerate(self.model.stream(seen)):
                mask = found > threshold
                yield Frame(
                    gray=seen[place],
                    probability=found if probability else None,
                    mask=mask,
                    measured=measure.measure_scan(place, mask, found, spacing, scan.file_of(place)),
                    features=ood.features(seen[place]) if place in judged else None,
                )
        except WorkError as error:
            raise WorkError(f'{scan.path}: {error}') from error

    def conclude(self, scan: Scan, settings: Settings, frames: Sequence[Frame]) -> Prediction:
        """Return what was found in all B-scans of a scan, from `outline`."""
        spacing, spacing_from, warnings = measure.scale_of(scan, settings)
        laterality = settings.laterality or scan.laterality
        if spacing:
            doubts = spacing.doubts(*frames[0].mask.shape, whole=spacing_from == 'file')  # users measure cut scans, too
            warnings += [f'the scale ({spacing_from}) makes {one}; check what is in mm' for one in doubts]
        looks = [frame.features for frame in frames if frame.features is not None]
        warnings += ood.judge(looks, scan.coloured)
        if scan.laterality not in (None, laterality):
            warnings.append(f'the given side, {laterality}, is used; the file says {scan.laterality}')
        bottom_up = scan.raster.bottom_up if settings.bottom_up is None else settings.bottom_up
        found = Prediction(scan, tuple(frames), spacing, spacing_from, laterality, bottom_up, None, (), ())
        above = sum(measure.above_retina(frame.gray, frame.mask) for frame in frames)
        if above > max(found.fluid_px / 2, 1e-4 * frames[0].mask.size):
            share = f'{above / found.fluid_px:.0%}'
            warnings.append(f'{share} of its fluid lies above the retina, where there can be none; look at the overlays')
        sectors, why_not = measure.sectors_of_volume(scan, found.thickness_px, spacing, laterality, bottom_up, settings)
        fluid_mm3 = None
        if scan.is_volume and spacing and spacing.slice:  # each B-scan stands for a slab as thick as the distance to the next
            fluid_mm3 = found.fluid_px * spacing.axial * spacing.lateral * spacing.slice
        return replace(found, fluid_mm3=fluid_mm3, sectors=tuple(sectors), warnings=(*warnings, *why_not, *scan.notes))
