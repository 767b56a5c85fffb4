"""Write phantoms in the layout of a prepared data set, so that configs and tools treat them like real scans."""

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from octfluid.datasets.phantoms import SHARE_WITHOUT_FLUID, SMALLEST_SIDE, draw_anatomy, render
from octfluid.datasets.prepare.common import Layout
from octfluid.datasets.splits import GradedBScan, Split
from octfluid.io.results import write_png
from octfluid.utils.cli import tracked
from octfluid.utils.errors import InputError

LAYOUT = Layout(
    columns=('name', 'paper_name', 'subject', 'slice', 'fluid_px_native'), sizes=('native',), lists=r'heldout_(train|val)\.txt'
)


class PhantomSummary(NamedTuple):
    """Number of scans to train on, held out, and with fluid, and the share of all pixels that are fluid, 0..1."""

    train: int
    val: int
    with_fluid: int
    fluid_share: float


def write_phantom_dataset(
    out_dir: str | os.PathLike, subjects: int = 6, slices: int = 8, height: int = 256, width: int = 256, seed: int = 0
) -> PhantomSummary:
    """Write ``native/{images,annotations}/s01_z00.png``, ``index.csv`` and ``splits/heldout_{train,val}.txt``.

    The last third of the subjects is held out; subjects differ in their anatomy, so nothing held out was seen in training.
    Of every subject's slices 30 % (rounded) have no fluid. The same arguments give the same pixels, and a subject's scans do
    not depend on how many other subjects there are.

    Raises:
        InputError: Fewer than 2 subjects, 1 slice or 64 pixels a side, a negative seed, or an ``out_dir`` with other content.
    """
    least = dict(subjects=2, slices=1, height=SMALLEST_SIDE, width=SMALLEST_SIDE, seed=0)
    for (name, limit), value in zip(least.items(), (subjects, slices, height, width, seed), strict=True):
        if value < limit:
            raise InputError(f'phantom {name}: {value}; expected at least {limit}')
    areas: dict[GradedBScan, int] = {}
    drawn = (one for subject in range(1, subjects + 1) for one in _subject(seed, subject, slices, height, width))
    with LAYOUT.new(out_dir) as folder:
        for scan, image, mask in tracked(drawn, subjects * slices, 'drawing phantoms'):
            write_png(folder / f'native/images/{scan.name}.png', image)
            write_png(folder / f'native/annotations/{scan.name}.png', mask)
            areas[scan] = int(mask.sum())
        first = subjects - max(1, subjects // 3) + 1
        sides = ([scan.name for scan in areas if (scan.subject >= first) == held_out] for held_out in (False, True))
        split = Split(*map(tuple, sides))
        rows = [(scan.name, None, scan.subject, scan.slice, area) for scan, area in areas.items()]
        LAYOUT.write_lists(folder, rows, {'heldout': split})
    share = sum(areas.values()) / (len(areas) * height * width)
    return PhantomSummary(len(split.train), len(split.val), sum(scan.has_fluid for scan in areas), share)


def _subject(
    seed: int, subject: int, slices: int, height: int, width: int
) -> Iterator[tuple[GradedBScan, np.ndarray, np.ndarray]]:
    rng = np.random.Generator(np.random.PCG64([seed, subject]))
    anatomy = draw_anatomy(rng)
    with_fluid = rng.permutation(slices) >= int(SHARE_WITHOUT_FLUID * slices + 0.5)
    for z in range(slices):
        image, mask = render(anatomy, rng, height, width, bool(with_fluid[z]))
        yield GradedBScan(subject, z, bool(mask.any())), image, mask
