"""Write phantoms in the layout of a prepared data set, so that configs and tools treat them like real scans."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octfluid.datasets.phantoms import SHARE_WITHOUT_FLUID, SMALLEST_SIDE, draw_anatomy, render
from octfluid.datasets.prepared import is_earlier_conversion, write_png
from octfluid.datasets.splits import Scan, Split, parse_name, write_splits
from octfluid.utils.atomic import atomic_folder
from octfluid.utils.errors import InputError

MOST_SUBJECTS, MOST_SLICES, MOST_SIDE = 1000, 1000, 2048
"""More than any study has; a typing error would fill disk and memory."""
INDEX_HEADER = 'name,paper_name,subject,slice,fluid_px_native'


@dataclass(frozen=True)
class PhantomSummary:
    """What was made and where.

    Attributes:
        train: Number of scans of the subjects to train on.
        val: Number of scans of the held-out subjects.
        with_fluid: Number of scans with fluid, among both.
        fluid_share: Share of all pixels that are fluid, 0..1.
        out_dir: The data set.
    """

    train: int
    val: int
    with_fluid: int
    fluid_share: float
    out_dir: Path


def write_phantom_dataset(
    out_dir: str | os.PathLike,
    subjects: int = 6,
    slices: int = 8,
    height: int = 256,
    width: int = 256,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> PhantomSummary:
    """Write ``native/{images,annotations}/s01_z00.png``, ``index.csv`` and ``splits/heldout_{train,val}.txt``.

    The last third of the subjects is held out; subjects differ in their anatomy, so nothing held out was seen in training.
    Of every subject's slices 30 % (rounded) have no fluid. The same arguments give the same pixels, and a subject's scans do
    not depend on how many other subjects there are.

    Args:
        out_dir: Created, or replaced if it holds nothing but earlier phantoms; changes only at the very end.
        subjects: 2 to 1000.
        slices: B-scans of each subject, 1 to 1000.
        height: Axial pixels, 64 to 2048.
        width: Lateral pixels, 64 to 2048.
        seed: At least 0.
        progress: Called with (scans done, scans in all) before the first and after each scan.

    Raises:
        InputError: An argument is out of range, or ``out_dir`` holds something else.
        OSError: Writing failed, such as a full disk.
    """
    _check(
        subjects=(subjects, 2, MOST_SUBJECTS), slices=(slices, 1, MOST_SLICES), height=(height, SMALLEST_SIDE, MOST_SIDE),
        width=(width, SMALLEST_SIDE, MOST_SIDE), seed=(seed, 0, math.inf),
    )  # fmt: skip
    report = progress or (lambda done, total: None)
    areas: dict[Scan, int] = {}
    with atomic_folder(out_dir, _is_earlier_dataset) as folder:
        for kind in ('images', 'annotations'):
            (folder / 'native' / kind).mkdir(parents=True)
        report(0, subjects * slices)
        for subject in range(1, subjects + 1):
            for scan, image, mask in _subject(seed, subject, slices, height, width):
                write_png(folder / 'native' / 'images' / f'{scan.name}.png', image)
                write_png(folder / 'native' / 'annotations' / f'{scan.name}.png', mask)
                areas[scan] = int(mask.sum())
                report(len(areas), subjects * slices)
        _write_index(folder / 'index.csv', areas)
        split = _hold_out(subjects, areas)
        write_splits(folder / 'splits', {'heldout': split})
    share = sum(areas.values()) / (len(areas) * height * width)
    return PhantomSummary(len(split.train), len(split.val), sum(scan.has_fluid for scan in areas), share, Path(out_dir))


def _check(**limits: tuple[int, int, float]) -> None:
    for name, (value, least, most) in limits.items():
        if not least <= value <= most:
            raise InputError(
                f'phantom {name}: {value}; expected ' + (f'at least {least}' if value < least else f'at most {most}')
            )


def _subject(seed: int, subject: int, slices: int, height: int, width: int) -> Iterator[tuple[Scan, np.ndarray, np.ndarray]]:
    """Draw one subject's scans: each with its image and its 0/1 mask, both uint8 (height, width)."""
    rng = np.random.Generator(np.random.PCG64([seed, subject]))
    anatomy = draw_anatomy(rng)
    with_fluid = rng.permutation(slices) >= int(SHARE_WITHOUT_FLUID * slices + 0.5)
    for z in range(slices):
        image, mask = render(anatomy, rng, height, width, bool(with_fluid[z]))
        yield Scan(subject, z, bool(mask.any())), image, mask


def _hold_out(subjects: int, scans: dict[Scan, int]) -> Split:
    first = subjects - max(1, subjects // 3) + 1
    return Split(
        tuple(scan.name for scan in scans if scan.subject < first), tuple(scan.name for scan in scans if scan.subject >= first)
    )


def _write_index(path: Path, areas: dict[Scan, int]) -> None:
    lines = [f'{scan.name},,{scan.subject},{scan.slice},{fluid_px}' for scan, fluid_px in areas.items()]
    path.write_bytes(''.join(f'{line}\n' for line in (INDEX_HEADER, *lines)).encode())


def _is_earlier_dataset(folder: Path) -> bool:
    """Tell whether a folder holds phantoms that we wrote, and nothing else."""
    return is_earlier_conversion(folder, INDEX_HEADER.split(','), lambda path: _is_ours(path.parts))


def _is_ours(parts: tuple[str, ...]) -> bool:
    match parts:
        case ('index.csv',) | ('splits', 'heldout_train.txt' | 'heldout_val.txt'):
            return True
        case ('native', 'images' | 'annotations', name):
            return name.endswith('.png') and parse_name(name.removesuffix('.png')) is not None
    return False
