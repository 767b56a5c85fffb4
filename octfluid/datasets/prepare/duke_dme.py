"""From the published Duke DME volumes to the prepared data set that configs read (layout in `octfluid.datasets.integrity`)."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from octfluid.datasets.prepare.common import Layout
from octfluid.datasets.splits import DUKE_LISTS, GRADED, GradedBScan, build_splits, paper_rows
from octfluid.io.duke_mat import SUBJECT_FILE, read_subject, subject_number
from octfluid.io.results import write_png
from octfluid.io.scan import whiten_filling
from octfluid.utils.cli import tracked
from octfluid.utils.errors import InputError

SUBJECTS = range(1, 11)
PAPER_SIZE = (256, 256)
LAYOUT = Layout(
    columns=('name', 'paper_name', 'subject', 'slice', 'fluid_px_native', 'fluid_px_256', *GRADED),
    sizes=('native', 'paper_256'),
    lists=DUKE_LISTS,
)
# The paper's threshold. Pockets are numbered from 1, so any value between 0 and 1 gives the same mask; NaN gives background.
_FLUID_ABOVE = 0.3
# Where graders of these scans begin and end at the latest, as fractions of the width (columns 117 and 658 of 768).
_GRADED_WITHOUT_LAYERS = 117 / 768, 659 / 768
_HOW_TO_GET = 'get it with: bash scripts/download_data.sh duke'


class PrepareSummary(NamedTuple):
    """Number of B-scans in the files, of annotated ones, of those with fluid, of those whose graded columns are estimated;
    files that were read, by subject number.
    """

    slices: int
    graded: int
    with_fluid: int
    estimated: int
    sources: dict[int, Path]


def prepare(
    raw_dir: str | os.PathLike, out_dir: str | os.PathLike, grader: int = 1, allow_missing: bool = False
) -> PrepareSummary:
    """Convert ``Subject_*.mat`` into images, masks, ``index.csv`` and splits.

    Masks are 1 where the annotation is above 0.3, else 0. ``native/`` keeps the scan's size; ``paper_256/`` is Pillow's
    default (bicubic) resize of the 8-bit image and of the 0/1 mask to 256x256, which is what the paper did. The same input
    gives the same bytes. The files may lie one folder below ``raw_dir``, as the archive unpacks. For the graded columns in
    ``index.csv`` see `graded_columns`.

    Raises:
        InputError: Nothing to convert, subjects missing, a bad file, or an ``out_dir`` with other content (`Layout.new`).
    """
    sources = _find_subjects(Path(raw_dir), allow_missing)
    paper_names = {row.scan.name: row.paper_name for row in paper_rows()}
    slices, estimated, scans, rows = 0, 0, [], []
    with LAYOUT.new(out_dir) as folder:
        for path in tracked(sources.values(), len(sources), 'converting subjects'):
            subject = read_subject(path, grader)
            slices += subject.images.shape[2]
            for z in subject.graded_slices:
                mask = (subject.fluid[:, :, z] > _FLUID_ABOVE).astype(np.uint8)
                scan = GradedBScan(subject.subject, z, bool(mask.any()))
                areas = _write(folder, scan.name, whiten_filling(subject.images[:, :, z]), mask)
                layers = None if subject.layers is None else subject.layers[:, :, z]
                estimated += layers is None or bool(np.isnan(layers).all())
                rows.append((scan.name, paper_names.get(scan.name), scan.subject, z, *areas, *graded_columns(mask, layers)))
                scans.append(scan)
        if not scans:
            raise InputError(f'{raw_dir}: no graded slice, manualFluid{grader} is NaN everywhere; try the other grader')
        LAYOUT.write_lists(folder, rows, build_splits(scans))
    return PrepareSummary(slices, len(scans), sum(scan.has_fluid for scan in scans), estimated, sources)


def graded_columns(mask: np.ndarray, layers: np.ndarray | None) -> tuple[int, int]:
    """Return the first and last column that the grader looked at, 0-based.

    Args:
        mask: (H, W), 1 where the grader marked fluid.
        layers: (boundaries, W), depth of the grader's layers, NaN in columns that were not graded; None if unknown.

    Returns:
        The outermost columns with a layer. Without layers the usual range, columns 117 to 658 of 768. Either range is widened
        to the outermost graded fluid.
    """
    columns = np.flatnonzero(mask.any(axis=0))
    if layers is not None and not np.isnan(layers).all():
        columns = np.union1d(columns, np.flatnonzero(~np.isnan(layers).all(axis=0)))
    else:
        first, end = (round(mask.shape[1] * edge) for edge in _GRADED_WITHOUT_LAYERS)
        columns = np.union1d(columns, [first, end - 1])
    return int(columns[0]), int(columns[-1])


def _find_subjects(raw: Path, allow_missing: bool = False) -> dict[int, Path]:
    for folder in (raw, *sorted(raw.glob('*'))):
        if files := {subject_number(path): path for path in folder.glob('*') if SUBJECT_FILE.fullmatch(path.name)}:
            break
    else:
        raise InputError(f'{raw}: no Subject_*.mat in it or one level down ({_HOW_TO_GET})')
    if (missing := [f'Subject_{number:02d}.mat' for number in SUBJECTS if number not in files]) and not allow_missing:
        raise InputError(f'{folder}: missing {", ".join(missing)}; add them, or go on without them with --allow-missing')
    return dict(sorted(files.items()))


def _write(folder: Path, name: str, image: np.ndarray, mask: np.ndarray) -> tuple[int, int]:
    # Pillow's default filter, bicubic; for masks too, as the paper did.
    small_image, small_mask = (np.asarray(Image.fromarray(pixels).resize(PAPER_SIZE)) for pixels in (image, mask))
    for size, pair in zip(LAYOUT.sizes, ((image, mask), (small_image, small_mask)), strict=True):
        for kind, pixels in zip(('images', 'annotations'), pair, strict=True):
            write_png(folder / size / kind / f'{name}.png', pixels)
    return int(mask.sum()), int(small_mask.sum())
