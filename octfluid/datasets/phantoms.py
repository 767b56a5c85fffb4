"""Toy B-scans with known fluid, so that tests and the quickstart need no download.

A phantom shows what the task looks like (layers, speckle, vessel shadows, dark pockets). Nothing in it is fitted to real scans,
and a score on phantoms says nothing about real ones. Plain thresholds fail: pockets are as dark as the vitreous, the deep
choroid and the vessel shadows, so the best single threshold, raw or smoothed, stays below a pooled Dice of 0.3.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter

from octfluid.utils.errors import InputError

SMALLEST_SIDE = 64
SHARE_WITHOUT_FLUID = 0.3

# From the inner limiting membrane to the bottom of the retinal pigment epithelium (RPE): nerve fibres, inner plexiform, inner
# nuclear, outer plexiform, outer nuclear, ellipsoid zone, its gap, RPE. Shares of the retinal thickness, and gray levels 0..1.
THICKNESSES = np.array([0.14, 0.20, 0.12, 0.08, 0.27, 0.06, 0.05, 0.08])
REFLECTIVITIES = np.array([0.58, 0.42, 0.27, 0.40, 0.19, 0.72, 0.38, 0.85])
INNER_LAYERS, INNER_NUCLEAR, OUTER_NUCLEAR = slice(0, 4), 2, 4
VITREOUS, POCKET, CHOROID, DEEP = 0.09, 0.085, 0.36, 0.07


@dataclass(frozen=True)
class Anatomy:
    """What the scans of one phantom subject share. Lengths are fractions of the picture's height (axial) or width (lateral)."""

    rpe: float
    tilt: float
    bow: float
    wobble: float
    thickness: float
    fovea: float
    fovea_width: float
    fovea_dip: float
    layers: np.ndarray  # (8,) shares of the thickness, summing to 1
    grays: np.ndarray  # (8,)
    choroid_depth: float
    looks: float  # shape of the gamma distributed speckle: the smaller, the noisier
    gain: float


@dataclass(frozen=True)
class _Pocket:
    centre: float  # lateral, fraction of the width
    half_width: float
    half_height: float
    depth: float  # 0: as shallow, 1: as deep as it can lie
    deformation: np.ndarray  # (2,) phases of the second and third harmonic of its outline


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw one subject."""
    layers = THICKNESSES * rng.uniform(0.85, 1.15, len(THICKNESSES))
    return Anatomy(
        rpe=rng.uniform(0.60, 0.70),
        tilt=rng.uniform(-0.12, 0.12),
        bow=rng.uniform(-0.08, 0.04),
        wobble=rng.uniform(0.002, 0.008),
        thickness=rng.uniform(0.23, 0.30),
        fovea=rng.uniform(0.35, 0.65),
        fovea_width=rng.uniform(0.08, 0.13),
        fovea_dip=rng.uniform(0.45, 0.75),
        layers=layers / layers.sum(),
        grays=REFLECTIVITIES * rng.uniform(0.9, 1.1, len(REFLECTIVITIES)),
        choroid_depth=rng.uniform(0.07, 0.12),
        looks=rng.uniform(3.0, 5.0),
        gain=rng.uniform(0.85, 1.15),
    )


def make_phantom(seed: int, height: int = 256, width: int = 256, fluid: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draw one phantom of a new subject; the same seed (at least 0) and size (at least 64 pixels a side) give the same arrays.

    Args:
        seed: Of NumPy's PCG64.
        height: Axial pixels.
        width: Lateral pixels.
        fluid: Whether to paint pockets; None leaves it to chance (30 % of phantoms are without fluid).

    Returns:
        The B-scan, uint8 (height, width), and its mask, uint8 (height, width), 1 exactly where fluid was painted: 1 to 4
        pockets on about 1 to 3 % of the pixels.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    anatomy = draw_anatomy(rng)
    without = rng.random() < SHARE_WITHOUT_FLUID
    return render(anatomy, rng, height, width, not without if fluid is None else fluid)


def render(anatomy: Anatomy, rng: np.random.Generator, height: int, width: int, fluid: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draw one B-scan of a subject; every call shows another place of the same retina.

    Arguments, results and errors are those of `make_phantom`; ``rng`` draws all that differs between the subject's scans.
    """
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f'phantom size is {height}x{width}; expected at least {SMALLEST_SIDE} pixels a side')
    anatomy = _another_slice(anatomy, rng)
    pockets = _draw_pockets(anatomy, rng) if fluid else []
    x = (np.arange(width) + 0.5) / width
    y = ((np.arange(height) + 0.5) / height)[:, None]
    surfaces = _surfaces(anatomy, pockets, rng, x)
    mask = np.zeros((height, width), bool)
    for pocket in pockets:
        mask |= _inside(pocket, surfaces, x, y)
    gray = _reflectivity(anatomy, surfaces, rng, y)
    gray[mask] = POCKET
    gray = gaussian_filter(gray, 0.5)
    gray *= _shading(surfaces, rng, x, y)
    speckle = gaussian_filter(rng.gamma(anatomy.looks, 1 / anatomy.looks, gray.shape), 0.5)
    gray = anatomy.gain * gray * speckle + rng.normal(0, 0.012, gray.shape)
    return np.clip(np.rint(255 * gray), 0, 255).astype(np.uint8), mask.astype(np.uint8)


def _another_slice(anatomy: Anatomy, rng: np.random.Generator) -> Anatomy:
    """Move to another slice: off the centre the foveal dip is shallower."""
    return replace(
        anatomy,
        rpe=anatomy.rpe + rng.uniform(-0.02, 0.02),
        tilt=anatomy.tilt + rng.uniform(-0.02, 0.02),
        fovea=anatomy.fovea + rng.uniform(-0.03, 0.03),
        fovea_dip=anatomy.fovea_dip * rng.uniform(0.3, 1.0),
    )


def _draw_pockets(anatomy: Anatomy, rng: np.random.Generator) -> list[_Pocket]:
    count = int(rng.integers(1, 5))
    areas = rng.uniform(0.011, 0.030) * rng.dirichlet(np.full(count, 4.0))
    half_heights = np.minimum(np.sqrt(areas / np.pi * rng.uniform(0.6, 1.6, count)), 0.36 * anatomy.thickness)
    half_widths = areas / (np.pi * half_heights)
    gaps = rng.dirichlet(np.full(count + 1, 1.5)) * (0.9 - 2.4 * half_widths.sum())
    centres = 0.05 + np.cumsum(gaps[:-1]) + np.cumsum(2.4 * half_widths) - 1.2 * half_widths
    outlines = zip(centres, half_widths, half_heights, strict=True)
    return [_Pocket(*outline, rng.random(), rng.uniform(0, 2 * np.pi, 2)) for outline in outlines]


def _surfaces(anatomy: Anatomy, pockets: list[_Pocket], rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Return the nine surfaces from the inner limiting membrane to the bottom of the RPE: (9, W), fractions of the height."""
    bottom = anatomy.rpe + anatomy.tilt * (x - 0.5) + anatomy.bow * (2 * x - 1) ** 2
    for harmonic in (2, 3, 5):
        bottom += anatomy.wobble * np.sin(2 * np.pi * harmonic * x + rng.uniform(0, 2 * np.pi)) / harmonic
    layers = anatomy.thickness * np.repeat(anatomy.layers[:, None], len(x), axis=1)
    dip = anatomy.fovea_dip * np.exp(-(((x - anatomy.fovea) / anatomy.fovea_width) ** 2))
    layers[INNER_LAYERS] *= 1 - dip
    layers[OUTER_NUCLEAR] *= 1 + 0.3 * dip
    # Fluid lifts the layers above it; the nerve fibres undulate without it too, so that a bump alone proves nothing.
    for pocket in pockets:
        swelling = np.exp(-(((x - pocket.centre) / (1.5 * pocket.half_width + 0.04)) ** 2))
        layers[OUTER_NUCLEAR] += 0.5 * pocket.half_height * swelling
        layers[INNER_NUCLEAR] += 0.3 * pocket.half_height * swelling
    for harmonic in (3, 5, 7):
        layers[0] += anatomy.wobble * np.sin(2 * np.pi * harmonic * x + rng.uniform(0, 2 * np.pi))
    layers[0] = np.maximum(layers[0], 0.004)
    return np.vstack([bottom - layers.sum(axis=0), bottom - layers.sum(axis=0) + np.cumsum(layers, axis=0)])


def _inside(pocket: _Pocket, surfaces: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return where the fluid is: (H, W) bool. Pockets stay below the nerve fibres and above the ellipsoid zone."""
    roof, floor = surfaces[1] + 0.01, surfaces[5] - 0.01
    thickness = np.interp(pocket.centre, x, floor - roof)
    reach = min(pocket.half_height / thickness, 0.5)
    middle = roof + (reach + pocket.depth * (1 - 2 * reach)) * (floor - roof)
    across, down = (x - pocket.centre) / pocket.half_width, (y - middle) / pocket.half_height
    angle = np.arctan2(down, np.broadcast_to(across, down.shape))
    second, third = pocket.deformation
    outline = 1 + 0.12 * np.cos(2 * angle + second) + 0.08 * np.cos(3 * angle + third)
    return (np.hypot(across, down) < outline) & (y > roof) & (y < floor)


def _reflectivity(anatomy: Anatomy, surfaces: np.ndarray, rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    shape = (len(y), surfaces.shape[1])
    below = np.maximum(y - surfaces[-1], 0)
    texture = gaussian_filter(rng.normal(size=shape), (0.02 * shape[0], 0.015 * shape[1]))
    texture *= 0.25 / texture.std()
    gray = DEEP + CHOROID * np.exp(-below / anatomy.choroid_depth) * np.clip(1 + texture, 0.3, 1.7)
    gray[y < surfaces[-1]] = VITREOUS
    for layer, (top, bottom) in enumerate(pairwise(surfaces)):
        gray[(y >= top) & (y < bottom)] = anatomy.grays[layer]
    return gray


def _shading(surfaces: np.ndarray, rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the factor (H, W) by which the beam is weakened: smoothly across the scan, and sharply below vessels."""
    factor = 1 - rng.uniform(0.05, 0.3) * (x - rng.uniform(0.3, 0.7)) ** 2 * 4
    shadow = np.ones_like(x)
    for _ in range(rng.integers(2, 7)):
        centre, half_width = rng.uniform(0.02, 0.98), rng.uniform(0.005, 0.018)
        shadow *= 1 - rng.uniform(0.35, 0.75) * np.exp(-(((x - centre) / half_width) ** 2))
    return factor * np.where(y > surfaces[1], shadow, 1.0)
