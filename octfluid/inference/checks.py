"""On real scans: how often the warning of unlike scans is right, and how far measured areas are from graded ones."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference import ood as domain
from octfluid.inference.predictor import Predictor, Settings
from octfluid.io.duke_mat import read_subject, subject_number
from octfluid.io.readers import find_inputs
from octfluid.io.scan import Frames, Scan, Spacing

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 75)
_TURNS = {
    'as they are': lambda scan: scan,
    'upside down': lambda scan: scan[::-1],
    'inverted': lambda scan: 255 - scan,
    'on their side': np.rot90,
    'as JPEG of quality 75': lambda scan: cv2.imdecode(cv2.imencode('.jpg', scan, _JPEG)[1], cv2.IMREAD_GRAYSCALE),
}


def _kind(reasons: Sequence[str]) -> str:
    """Return a reason's first words, which name its kind; '' for none."""
    kinds = ('pixels are in colour', 'no layers', 'dark layers', 'upside down', 'unlike', 'shows nothing')
    return next((kind for kind in kinds if reasons and kind in reasons[0]), '')


def _group(name: str, judged: Iterable[Sequence[str]]) -> dict[str, Any]:
    kinds = [_kind(reasons) for reasons in judged]
    return dict(scans=name, number=len(kinds), warned=sum(map(bool, kinds)), kinds=dict(Counter(filter(None, kinds))))


def check_guard(predictor: Predictor, duke: Sequence[Path], folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Judge scans one by one that should pass and that should not.

    Args:
        predictor: Whose model says how its training looks.
        duke: ``Subject_*.mat`` files; their graded slices are judged, each subject by the look of the others.
        folders: Name -> folder of pictures; each is judged as it is and upside down.

    Returns:
        One mapping a group: ``scans`` (what they are), ``number``, ``warned``, and ``kinds`` of first reasons with counts.
    """
    info = predictor.model.info.domain
    device, shipped = info.get('device', 'unknown'), domain.Look.from_json(info.get('look'))
    slices = {}
    for path in duke:
        subject = read_subject(path)
        slices[subject.subject] = [subject.images[:, :, place] for place in subject.graded_slices]
    scans = [(number, scan) for number, some in slices.items() for scan in some]
    measured = np.array([domain.features(scan) for _, scan in scans])
    numbers = np.array([number for number, _ in scans])
    found = []
    for name, turn in _TURNS.items():
        judged = []
        for number in slices:
            others = numbers != number
            look = domain.fit(measured[others], numbers[others])
            judged += [domain.judge([domain.features(turn(scan))], 0.0, look, device) for scan in slices[number]]
        found.append(_group(f'Duke DME, graded scans, {name}', judged))
    phantoms = [make_phantom(seed, 496, 768)[0] for seed in range(40)]
    found.append(_group('phantoms', [domain.judge([domain.features(one)], 0.0, shipped, device) for one in phantoms]))
    for name, folder in folders.items():
        pictures = [scan for one in find_inputs([folder]) for scan in one.read()]
        for turned in (False, True) if not any(scan.coloured > domain.COLOURED for scan in pictures) else (False,):
            judged = [
                domain.judge([domain.features(scan.frames[0][:: -1 if turned else 1])], scan.coloured, shipped, device)
                for scan in pictures
            ]
            found.append(_group(f'{name}{", upside down" if turned else ""}', judged))
    return found


def check_areas(predictor: Predictor, files: Sequence[Path], spacing: Spacing) -> list[dict[str, Any]]:
    """Measure whole Duke volumes, and compare the graded slices with the first grader.

    Args:
        predictor: The model.
        files: ``Subject_*.mat``.
        spacing: Nominal scale: that of a subject is not in its file.

    Returns:
        One mapping a subject: ``subject``, ``bscans``, ``fluid_mm3``, and ``graded``, by slice: ``bscan``, ``found_mm2``,
        ``graded_mm2``, and ``dice``, None where both are empty.
    """
    found = []
    for path in sorted(files, key=subject_number):
        first = read_subject(path)
        frames = Frames(first.images.shape[2], lambda place, images=first.images: np.ascontiguousarray(images[:, :, place]))
        prediction = predictor.predict_scan(Scan(path, frames, is_volume=True), Settings(spacing=spacing))
        area = spacing.axial * spacing.lateral
        graded = []
        for place in first.graded_slices:
            truth, mask = first.fluid[:, :, place] > 0, prediction.masks[place]
            both = int(truth.sum() + mask.sum())
            graded.append(
                dict(
                    bscan=place,
                    found_mm2=prediction.scans[place].fluid_mm2,
                    graded_mm2=float(truth.sum() * area),
                    dice=2 * int((truth & mask).sum()) / both if both else None,
                )
            )
        found.append(dict(subject=first.subject, bscans=len(frames), fluid_mm3=prediction.fluid_mm3, graded=graded))
    return found


def check_int8(plain: Predictor, small: Predictor, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Compare a model with its twin of 8 bits on the graded slices of Duke volumes, by turns.

    Args:
        plain: The model.
        small: Its twin, from ``tools/export_onnx.py --int8``.
        files: ``Subject_*.mat``.

    Returns:
        One mapping: ``scans``; ``pixels``, the share of which the two masks differ; and of both models, the plain one first,
        ``dice`` of fluid with the first grader, pooled; ``milliseconds`` of a scan (median); ``megabytes`` of the file.
    """
    both = (plain.model, small.model)
    sums, seconds, scans, differing, pixels = np.zeros((2, 2)), [], 0, 0, 0
    for path in files:
        subject = read_subject(path)
        for place in subject.graded_slices:
            scan, truth = subject.images[:, :, place], subject.fluid[:, :, place] > 0
            masks, taken = [], []
            for model in both:
                start = time.perf_counter()
                masks.append(model.mask(scan[None])[0])
                taken.append(time.perf_counter() - start)
            sums += [[2 * int((mask & truth).sum()), int(mask.sum() + truth.sum())] for mask in masks]
            seconds.append(taken)
            scans, pixels, differing = scans + 1, pixels + truth.size, differing + int((masks[0] != masks[1]).sum())
    return [
        dict(
            scans=scans,
            pixels=differing / pixels,
            dice=(sums[:, 0] / np.maximum(sums[:, 1], 1)).tolist(),
            milliseconds=(1000 * np.median(seconds, axis=0)).tolist(),
            megabytes=[model.path.stat().st_size / 1e6 for model in both],
        )
    ]
