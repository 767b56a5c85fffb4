"""Out-of-domain warning: a few features of B-scans of any device, and a rule on their signs.

It finds photographs, scans on their side or upside down, and inverted prints. It does not judge disease.
"""

from collections.abc import Sequence

import cv2
import numpy as np

FEATURES = ('layering', 'turn', 'ridges', 'middle')
"""Names of the values of `features`, in order."""
LAYERING, COLOURED = 1.6, 0.05
"""Minimum layering of a B-scan (1 % of the scans that set it, close crops included, have less); maximum share in colour."""
_WIDTH, _HEIGHTS = 192, (64, 128)  # of a small copy: wide pictures keep their shape, tall ones do not
_FEWEST = 64  # pixels to judge
_FILLED = 5  # pixels: larger squares of black or white are filling of a device, not tissue
_WHITE, _NEARLY_WHITE = 250, 225


def features(scan: np.ndarray) -> np.ndarray:
    """Return the features of a scan, which do not depend on the scale of its values.

    Args:
        scan: Gray values, at least 0, (H, W), any real dtype.

    Returns:
        float64 (4,), in the order of `FEATURES`, of a small copy without filling; all 0 for a scan of one gray value.
        ``layering``: how much faster gray changes downwards than sideways, 1 for a picture without direction. ``turn``:
        skewness of the change downwards, positive where dark turns bright sharply and bright turns dark slowly, as from
        vitreous to retina to choroid; its sign changes upside down. ``ridges``: skewness of the second derivative downwards,
        negative where thin layers are bright; its sign changes in an inverted scan, not upside down. ``middle``: where the
        median lies between the 5th and the 95th percentile, 0..1.
    """
    values = scan * np.float32(255 / max(float(scan.max()), 1e-6))
    blank = _filled(values)
    if blank.all():
        return np.zeros(len(FEATURES))
    values[blank] = values[~blank].mean()
    size = _WIDTH, int(np.clip(_WIDTH * values.shape[0] / values.shape[1], *_HEIGHTS))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    seen = cv2.resize(blank.astype(np.float32), size, interpolation=cv2.INTER_AREA) == 0
    inner = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if np.count_nonzero(inner) < _FEWEST or (deviation := small[seen].std()) < 0.1:
        return np.zeros(len(FEATURES))
    smooth = cv2.GaussianBlur(small / deviation, (0, 0), 1.5)
    down, sideways = np.diff(smooth, axis=0)[inner[1:]], np.diff(smooth, axis=1)[inner[:, 1:]]
    bend = np.diff(smooth, n=2, axis=0)[inner[1:-1]]
    low, middle, high = np.percentile(small[seen], [5, 50, 95])
    return np.array([
        np.abs(down).mean() / (np.abs(sideways).mean() + 1e-6),
        (down**3).mean() / ((down**2).mean() ** 1.5 + 1e-9),
        (bend**3).mean() / ((bend**2).mean() ** 1.5 + 1e-9),
        (middle - low) / (high - low + 1e-6),
    ], dtype=np.float64)  # fmt: skip


def _filled(values: np.ndarray) -> np.ndarray:
    """Return the black or white filling of a device, bool (H, W), with a margin of one pixel.

    JPEG turns white into nearly white: such pixels are filling if they are connected to a white square.
    """
    square = np.ones((_FILLED, _FILLED), np.uint8)
    black = cv2.morphologyEx((values <= 0.5).astype(np.uint8), cv2.MORPH_OPEN, square)
    number, parts = cv2.connectedComponents((values >= _NEARLY_WHITE).astype(np.uint8))
    seeds = cv2.morphologyEx((values >= _WHITE).astype(np.uint8), cv2.MORPH_OPEN, square)
    seeded = np.zeros(number, np.uint8)
    seeded[parts[seeds > 0]] = 1
    return cv2.dilate(black | seeded[parts], np.ones((3, 3), np.uint8)) > 0


def judge(measured: Sequence[np.ndarray], coloured: float) -> list[str]:
    """Return reasons why a scan does not look like B-scans of a retina; empty if it does.

    Advice needs two features that agree: a close crop has little dark ground and is not inverted.

    Args:
        measured: `features` of at least one B-scan; all 0 does not count.
        coloured: Share of pixels in colour, 0..1.
    """
    shown = np.array([one for one in measured if one.any()])
    if not len(shown):
        return ['shows nothing but black, white or one gray']
    layering, turn, ridges, middle = np.median(shown, axis=0)
    reasons = []
    if coloured > COLOURED:
        reasons.append(f'{coloured:.0%} of its pixels are in colour; expected a gray B-scan')
    if layering < LAYERING:
        reasons.append('no layers from side to side, as in a photograph or a scan on its side; expected a B-scan')
    elif ridges > 0 and middle > 0.5:
        reasons.append('looks inverted, dark layers on a bright ground; expected bright layers on a dark ground')
    elif ridges < 0 and turn < 0 and middle < 0.5:
        reasons.append('looks upside down; expected the vitreous at the top')
    elif ridges > 0 or turn < 0:
        reasons.append('looks unlike a B-scan of a retina; expected bright layers under a dark vitreous')
    return reasons
