"""Reading a prepared data set's lists, and checking every file of it before anything trains on it.

Layout: ``<root>/<size_dir>/{images,annotations}/<name>.png`` (photographs ``.jpg``), ``<root>/splits/<split>_{train,val}.txt``
(a name a line) and ``<root>/index.csv`` with at least the columns ``name``, ``subject``, ``slice``.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from octfluid.datasets.lists import SUBSETS, index_rows, load_index, read_split, split_names, subset_lines
from octfluid.datasets.mask_checks import IMAGE_MODES, ImageStats, MaskStats, check_image, check_mask
from octfluid.datasets.overlap import overlaps, picture_overlaps, refuse_overlap, subject_overlap
from octfluid.datasets.splits import ALL
from octfluid.utils.errors import InputError

__all__ = [
    'DatasetReport', 'SubsetCounts', 'check_dataset', 'load_index', 'read_split', 'refuse_overlap', 'split_names',
    'subject_overlap',
]  # fmt: skip

KINDS = ('images', 'annotations')
SUFFIX = '.png'


@dataclass(frozen=True)
class SubsetCounts:
    """What one side of a split holds, over its readable masks.

    Attributes:
        images: Names in the list.
        subjects: Different subjects among them, by ``index.csv``.
        with_fluid: Masks with at least one pixel of a class other than 0.
        fluid_share: Such pixels as a fraction of all pixels that are not ignored, in [0, 1]; 0 without masks.
    """

    images: int
    subjects: int
    with_fluid: int
    fluid_share: float


@dataclass
class DatasetReport:
    """Outcome of `check_dataset`.

    Attributes:
        problems: One line each: what was found, where, and what was expected. Empty for a sound data set.
        warnings: One line each: what is allowed, but may be a mistake.
        subsets: Counts by subset: ``train`` and ``val`` of the split, or ``all`` (every image) when no split was named.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    subsets: dict[str, SubsetCounts] = field(default_factory=dict)


def check_dataset(
    root: str | os.PathLike,
    size_dir: str,
    split: str | None = None,
    size: tuple[int, int] | None = None,
    classes: int = 2,
    ignore_index: int | None = None,
    foreground: str = 'fluid',
    image_suffix: str = SUFFIX,
    image_modes: Sequence[str] = IMAGE_MODES,
) -> DatasetReport:
    """Check every image and mask of one size of a data set, and the lists of one split.

    Args:
        root: The data set.
        size_dir: Sub-folder of ``root`` with ``images`` and ``annotations``, such as ``paper_256``.
        split: Name of a split whose two lists are checked too; None for the files alone.
        size: (height, width) in pixels that every image and mask must have; None: a mask must have its image's size.
        classes: Number of classes; masks may hold 0 .. classes - 1.
        ignore_index: A further mask value that is allowed and counts as no pixel.
        foreground: Name of what class 0 is not, for messages.
        image_suffix: Suffix of the image files; masks are always ``.png``.
        image_modes: Pillow's names of the pixel formats that an image may have.

    Returns:
        All problems and the counts; nothing that is wrong with single files is raised.

    Raises:
        InputError: No such data set, sub-folder or split.
    """
    root = Path(root)
    _require_folders(root, size_dir)
    report = DatasetReport()
    files = {kind: _Files(root / size_dir / kind, suffix) for kind, suffix in zip(KINDS, (image_suffix, SUFFIX), strict=True)}
    names = {kind: _names(files[kind], report.problems) for kind in KINDS}
    report.problems += _unpaired(files, names)
    images = _check_images(files['images'], names['images'], size, image_modes, report.problems)
    shapes = {name: image.shape for name, image in images.items()}
    stats = _check_masks(files['annotations'], names['annotations'], size, shapes, classes, ignore_index, report.problems)
    subjects = _check_index(root, names['images'] | names['annotations'], report.problems)
    report.warnings += _unlikely(files, images, stats, foreground)
    lists = {'all': sorted(names['images'])} if split is None else _check_lists(root, files, split, names, report.problems)
    report.subsets = {subset: _counts(members, subjects, stats) for subset, members in lists.items()}
    if split is not None:
        problems, warnings = picture_overlaps(root, split, lists, {name: image.looks for name, image in images.items()})
        report.warnings += warnings
        report.problems += overlaps(root, split, lists, subjects) + problems
        report.problems += _never_occurring(root, split, lists['train'], stats, classes, foreground)
        report.warnings += _nothing_to_find(root, split, lists, report, foreground)
    return report


def _nothing_to_find(root: Path, split: str, lists: Mapping, report: DatasetReport, foreground: str) -> list[str]:
    if 'val' not in lists or report.subsets['val'].with_fluid:
        return []
    where, number = f'{root}/splits/{split}_val.txt', len(lists['val'])
    return [f'{where}: none of its {number} masks has a pixel of {foreground}, whose scores say nothing']


def _require_folders(root: Path, size_dir: str) -> None:
    split_names(root)
    for kind in KINDS:
        folder = root / size_dir / kind
        if not folder.is_dir():
            sizes = sorted(path.parent.name for path in root.glob('*/images'))
            raise InputError(f'{folder}: no such folder; sizes in this data set: {", ".join(sizes) or "none"}')


@dataclass(frozen=True)
class _Files:
    """The files of one kind: where they lie and what their names end in."""

    folder: Path
    suffix: str

    def path(self, name: str) -> Path:
        return self.folder / f'{name}{self.suffix}'


def _names(files: _Files, problems: list[str]) -> set[str]:
    """Return the names of the files; anything else in the folder is a problem, because nothing would read it."""
    suffix = files.suffix
    paths = sorted(path for path in files.folder.iterdir() if not path.name.startswith('.'))
    problems += [f'{path}: not a {suffix} file; expected only {suffix} files here' for path in paths if path.suffix != suffix]
    return {path.stem for path in paths if path.suffix == suffix}


def _unpaired(files: Mapping[str, _Files], names: Mapping[str, set[str]]) -> list[str]:
    image, mask = files['images'].path, files['annotations'].path
    return [f'{image(name)}: no mask; expected {mask(name)}' for name in sorted(names['images'] - names['annotations'])] + [
        f'{mask(name)}: no image; expected {image(name)}' for name in sorted(names['annotations'] - names['images'])
    ]


def _check_images(
    files: _Files, names: set[str], size: tuple[int, int] | None, modes: Sequence[str], problems: list[str]
) -> dict[str, ImageStats]:
    """Open every image once; return what the readable ones are."""
    images = {}
    for name in sorted(names):
        image, complaints = check_image(files.path(name), size, modes)
        problems += complaints
        if image is not None:
            images[name] = image
    return images


def _check_masks(
    files: _Files,
    names: set[str],
    size: tuple[int, int] | None,
    shapes: Mapping[str, tuple[int, int]],
    classes: int,
    ignore_index: int | None,
    problems: list[str],
) -> dict[str, MaskStats]:
    """Open every mask once; return the pixel counts of the readable ones. Without ``size``, its image's size is expected."""
    stats = {}
    for name in sorted(names):
        stat, complaints = check_mask(files.path(name), size or shapes.get(name), classes, ignore_index)
        problems += complaints
        if stat is not None:
            stats[name] = stat
    return stats


def _unlikely(
    files: Mapping[str, _Files], images: Mapping[str, ImageStats], stats: Mapping[str, MaskStats], foreground: str
) -> list[str]:
    """Find what may be, but mostly is a mistake: images that show nothing, and masks that may be inverted."""
    even = [name for name, image in images.items() if image.even]
    full = [name for name, mask in stats.items() if 2 * mask.foreground > mask.valid]
    return [
        f'{files[kind].folder}: {len(some)} of {len(every)} {what} (first: {some[0]})'
        for kind, some, every, what in (
            ('images', even, images, 'show nothing, all their pixels are alike'),
            (
                'annotations',
                full,
                stats,
                f'call more than half of their pixels {foreground}; is it the background?',
            ),
        )
        if some
    ]


def _check_index(root: Path, names: set[str], problems: list[str]) -> dict[str, int]:
    """Compare ``index.csv`` with the files; return the subject by name."""
    rows, complaints = index_rows(root)
    problems += complaints
    counted = Counter(row.name for row in rows)
    path = root / 'index.csv'
    problems += [f"{path}: '{name}' is listed {count} times; expected once" for name, count in counted.items() if count > 1]
    problems += [f"{path}: '{name}' is listed but has no image and no mask" for name in counted if name not in names]
    if rows or not complaints:
        problems += [f"{path}: '{name}' has files but is not listed" for name in sorted(names - set(counted))]
    return {row.name: row.subject for row in rows}


def _check_lists(
    root: Path, files: Mapping[str, _Files], split: str, names: Mapping[str, set[str]], problems: list[str]
) -> dict[str, list[str]]:
    """Check both lists of a split; return them without repetitions."""
    lists = {}
    for subset in SUBSETS:
        path = root / 'splits' / f'{split}_{subset}.txt'
        if subset == 'val' and not path.exists() and split in split_names(root):
            if split != ALL:
                problems.append(f'{path}: no such file; expected the scans to validate on, one name a line')
            continue
        lines = subset_lines(root, split, subset)
        counted = Counter(lines)
        if not lines:
            problems.append(f'{path}: is empty; expected one name a line')
        problems += [f"{path}: '{name}' is listed {count} times; expected once" for name, count in counted.items() if count > 1]
        problems += [
            f"{path}: '{name}' has no {kind[:-1]}; expected {files[kind].path(name)}"
            for name in counted
            for kind in KINDS
            if name not in names[kind]
        ]
        lists[subset] = list(counted)
    return lists


def _never_occurring(
    root: Path, split: str, names: Sequence[str], stats: Mapping[str, MaskStats], classes: int, foreground: str
) -> list[str]:
    """Find classes that no training mask has a pixel of."""
    present = frozenset().union(*(stats[name].classes for name in names if name in stats))
    where = f'{root}/splits/{split}_train.txt: none of its {len(names)} masks has a pixel of'
    if not any(present):
        return [f'{where} {foreground}; a model would learn to predict background everywhere; check how masks were made']
    return [
        f'{where} class {label}{" (background)" if label == 0 else ""}; a model cannot learn it; check how masks were made'
        for label in range(classes)
        if label not in present
    ]


def _counts(names: Sequence[str], subjects: Mapping[str, int], stats: Mapping[str, MaskStats]) -> SubsetCounts:
    masks = [stats[name] for name in names if name in stats]
    pixels = sum(mask.valid for mask in masks)
    return SubsetCounts(
        images=len(names),
        subjects=len({subjects[name] for name in names if name in subjects}),
        with_fluid=sum(mask.foreground > 0 for mask in masks),
        fluid_share=sum(mask.foreground for mask in masks) / pixels if pixels else 0.0,
    )
