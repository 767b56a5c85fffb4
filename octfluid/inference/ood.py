"""Out-of-domain warning: compares a few features of a scan with those of the training scans.

It finds photographs, scans upside down, inverted prints and other instruments. It does not judge disease.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

FEATURES = ('layering', 'darkness', 'turn', 'spread', 'grain')
"""Names of the values of `features`, in order."""
LAYERING, DARKNESS, COLOURED = 1.4, 0.4, 0.05
"""Limits of a B-scan: least layering, most darkness, largest share of pixels in colour."""
_SIZE = (192, 128)  # width, height
_FILLED = 5  # pixels: larger squares of black or white are filled in by a device, not tissue
_WHITE, _NEARLY_WHITE = 250, 225
_COMPARED = ('layering', 'darkness', 'spread', 'grain')
_WORDS = {
    'layering': ('less layered', 'more layered'),
    'darkness': ('darker between its layers', 'brighter between its layers'),
    'spread': ('thinner or seen from farther away', 'thicker, or fills more of the picture'),
    'grain': ('smoother', 'grainier'),
}


def features(scan: np.ndarray) -> np.ndarray:
    """Return the features of a scan.

    Args:
        scan: Gray values 0..255, (H, W), any real dtype.

    Returns:
        float64 (5,), in the order of `FEATURES`, of the scan at 128x192 pixels with mean 0 and standard deviation 1; all 0 for
        a scan of one gray. ``layering``: how much faster gray changes downwards than sideways; ``darkness``: where the median
        lies between the 5th and the 95th percentile; ``turn``: skewness of the change downwards, positive where dark turns
        bright sharply and bright turns dark slowly, as from vitreous to retina; ``spread``: standard deviation of the height
        of what is bright, as a share of the picture's; ``grain``: standard deviation of what a slight blur takes away.
    """
    values = scan.astype(np.float32)
    blank = _filled(values)
    if blank.all():
        return np.zeros(len(FEATURES))
    values[blank] = values[~blank].mean()
    small = cv2.resize(values, _SIZE, interpolation=cv2.INTER_AREA)
    empty = cv2.resize(blank.astype(np.float32), _SIZE, interpolation=cv2.INTER_AREA) > 0
    seen = small[~empty] if np.count_nonzero(~empty) > 64 else small.ravel()
    deviation = seen.std()
    if deviation < 0.1:
        return np.zeros(len(FEATURES))
    standard = (small - seen.mean()) / deviation
    smooth = cv2.GaussianBlur(standard, (0, 0), 1.5)
    down, sideways = np.diff(smooth, axis=0), np.diff(smooth, axis=1)
    down[empty[1:] | empty[:-1]] = 0
    low, middle, high = np.percentile(seen, [5, 50, 95])
    bright = np.clip(standard, 0, None).sum(axis=1) + 1e-6
    height = np.linspace(0, 1, len(bright))
    centre = np.average(height, weights=bright)
    return np.array([
        np.abs(down).mean() / (np.abs(sideways).mean() + 1e-6),
        (middle - low) / (high - low + 1e-6),
        (down**3).mean() / ((down**2).mean() ** 1.5 + 1e-9),
        np.sqrt(np.average((height - centre) ** 2, weights=bright)),
        (standard - cv2.GaussianBlur(standard, (0, 0), 1.0)).std(),
    ], dtype=np.float64)  # fmt: skip


def _filled(values: np.ndarray) -> np.ndarray:
    """Return where a device has filled in black or white, bool (H, W), with a pixel around it.

    JPEG turns white into many shades of nearly white: what is connected to a white square belongs to it.
    """
    square = np.ones((_FILLED, _FILLED), np.uint8)
    black = cv2.morphologyEx((values <= 0.5).astype(np.uint8), cv2.MORPH_OPEN, square)
    _, parts = cv2.connectedComponents((values >= _NEARLY_WHITE).astype(np.uint8))
    seeds = cv2.morphologyEx((values >= _WHITE).astype(np.uint8), cv2.MORPH_OPEN, square)
    white = (parts > 0) & np.isin(parts, np.unique(parts[seeds > 0]))
    return cv2.dilate(black | white.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _compared(measured: np.ndarray) -> np.ndarray:
    chosen = measured[..., [FEATURES.index(name) for name in _COMPARED]]
    return np.log(np.maximum(chosen, 1e-6))


@dataclass(frozen=True)
class Look:
    """How the scans of a training look."""

    mean: np.ndarray  # of the logarithms of layering, darkness, spread and grain, (4,)
    precision: np.ndarray  # inverse of their covariance, (4, 4)
    limit: float  # Mahalanobis distance beyond which a scan looks unlike them

    def distance(self, measured: np.ndarray) -> float:
        """Return the Mahalanobis distance of a scan, of `features` (5,), from those of the training."""
        offset = _compared(measured) - self.mean
        return float(np.sqrt(offset @ self.precision @ offset))

    def difference(self, measured: np.ndarray) -> str:
        """Return in words the feature that differs most."""
        deviations = (_compared(measured) - self.mean) * np.sqrt(np.diag(self.precision))
        most = int(np.abs(deviations).argmax())
        return _WORDS[_COMPARED[most]][int(deviations[most] > 0)]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain numbers, rounded."""
        return dict(mean=self.mean.round(5).tolist(), precision=self.precision.round(4).tolist(), limit=round(self.limit, 4))

    @classmethod
    def from_json(cls, content: dict[str, Any] | None) -> 'Look | None':
        """Return the look that `to_json` wrote; None for None, of a model without one."""
        return content and cls(np.array(content['mean']), np.array(content['precision']), content['limit'])


def fit(measured: np.ndarray, groups: Sequence[Any], share: float = 0.98) -> Look | None:
    """Describe how scans look; None with fewer than 12 scans or 3 subjects, which are too few.

    Args:
        measured: `features` of each, (N, 5); scans of one gray, all 0, are left out.
        groups: Subject of each scan. Every subject has the same weight, and the limit is chosen on left-out subjects.
        share: Share of a left-out subject's scans within the limit, in (0, 1).
    """
    shown = measured.any(axis=1)
    names = np.array([str(group) for group in groups])[shown]
    values = _compared(measured[shown])
    if len(values) < 12 or len(np.unique(names)) < 3:
        return None
    distances = []
    for name in np.unique(names):
        rest = names != name
        look = Look(*_moments(values[rest], names[rest]), 0.0)
        distances += map(look.distance, measured[shown][~rest])
    mean, precision = _moments(values, names)
    return Look(mean, precision, float(np.quantile(distances, share)))


def _moments(values: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, groups, counts = np.unique(names, return_inverse=True, return_counts=True)
    weights = 1 / counts[groups]
    mean = np.average(values, axis=0, weights=weights)
    covariance = np.cov(values, rowvar=False, aweights=weights) + 1e-6 * np.eye(values.shape[1])
    return mean, np.linalg.inv(covariance)


def judge(measured: Sequence[np.ndarray], coloured: float, look: Look | None, device: str) -> list[str]:
    """Return why most of a scan's B-scans do not look like those that the model was made for; empty if they do.

    Args:
        measured: `features` of at least one B-scan; those of one gray do not count.
        coloured: Share of pixels in colour.
        look: Of the training, or None.
        device: The instrument that the model was made for.
    """
    shown = np.array([one for one in measured if one.any()])
    if not len(shown):
        return ['shows nothing: one gray all over']
    layering, darkness, turn = (np.median(shown[:, FEATURES.index(name)]) for name in ('layering', 'darkness', 'turn'))
    reasons = []
    if coloured > COLOURED:
        reasons.append(f'{coloured:.0%} of its pixels are in colour; expected a gray B-scan')
    if layering < LAYERING:
        reasons.append('no layers from side to side, as in a photograph or a view from above; expected a B-scan')
    elif darkness > DARKNESS:
        reasons.append('dark layers on a bright ground; expected bright layers on a dark ground: invert it')
    elif turn < 0:
        reasons.append('looks upside down; expected the vitreous at the top')
    if not reasons and look is not None:
        distances = [look.distance(one) for one in shown]
        if np.median(distances) > look.limit:
            middle = shown[int(np.argsort(distances)[len(distances) // 2])]
            reasons.append(f'looks unlike the scans of the training ({device}): {look.difference(middle)}')
    return reasons
