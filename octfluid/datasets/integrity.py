"""The check of a prepared data set before anything trains on it: files, lists, and what is on both sides of a split.

Layout: ``<root>/<size_dir>/{images,annotations}/<name>.png`` (photographs ``.jpg``), ``<root>/splits/<split>_{train,val}.txt``
and ``<root>/index.csv``, see `octfluid.datasets.splits`.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from octfluid.datasets.perceptual_hash import PictureHash, hash_picture, same_pictures
from octfluid.datasets.splits import (
    ALL,
    SUBSETS,
    held_out_subjects,
    inner_parent,
    is_by_subject,
    load_index,
    read_split,
    require_split,
)  # fmt: skip
from octfluid.io.images import load_picture
from octfluid.io.scan import whiten_filling
from octfluid.utils.errors import InputError

KINDS = ('images', 'annotations')
SUFFIX = '.png'
IMAGE_MODES = ('L', 'RGB')
"""Pillow's modes that a scan may have, unless its data set allows fewer."""


class _Image(NamedTuple):
    shape: tuple[int, int]
    hash: PictureHash
    as_predicted: bool  # `whiten_filling`, which prediction begins with, changes nothing


class _Mask(NamedTuple):
    foreground: int  # pixels of classes other than 0
    valid: int  # pixels that are not ignored
    classes: frozenset[int]


class SubsetCounts(NamedTuple):
    """One side of a split; ``fluid_share`` is the fraction of all not ignored pixels that are of classes other than 0."""

    images: int
    subjects: int
    with_fluid: int
    fluid_share: float


@dataclass
class DatasetReport:
    """A line for each problem and for each likely mistake that is allowed, counts, and subjects with scans on both sides."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    subsets: dict[str, SubsetCounts] = field(default_factory=dict)
    shared_subjects: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetSpec:
    """Where the data of a config lie and what they must look like.

    Attributes:
        size_dir: Folder of the size used, such as ``'paper_256'``.
        size: (height, width) in pixels of every image and mask; None: a mask must have its image's size.
        classes: Names by label, from 0.
        ignore_index: Mask value that counts as no pixel, where the config declares one.
        image_suffix: Suffix of the image files; masks are always ``.png``.
        image_modes: Pillow's names of the pixel formats that an image may have.
        truth_dir: Folder of the size whose masks are scored against, where it is another.
    """

    root: str
    size_dir: str
    split: str
    size: tuple[int, int] | None = None
    classes: tuple[str, ...] = ('background', 'fluid')
    ignore_index: int | None = None
    image_suffix: str = SUFFIX
    image_modes: tuple[str, ...] = IMAGE_MODES
    truth_dir: str | None = None


def check_dataset(spec: DatasetSpec) -> DatasetReport:
    """Check every image and mask of one size of a data set, and the lists of its split; report what is wrong with files.

    Raises:
        InputError: No such data set, sub-folder or split.
    """
    root, split, report = Path(spec.root), spec.split, DatasetReport()
    require_split(root, split)
    problems, warnings = report.problems, report.warnings
    image_paths, mask_paths = _files(root, spec)
    images, masks = {}, {}  # the readable ones
    for name, path in image_paths.items():
        if image := _check_image(path, spec, problems):
            images[name] = image
    for name, path in mask_paths.items():
        if mask := _check_mask(path, spec, spec.size or (images[name].shape if name in images else None), problems):
            masks[name] = mask
    subjects = _check_index(root, image_paths.keys() | mask_paths.keys(), problems)
    if full := [name for name, mask in masks.items() if 2 * mask.foreground > mask.valid]:
        what = f'{len(full)} call more than half of their pixels foreground; is it the background? (first: {full[0]})'
        warnings.append(f'{root}/{spec.size_dir}/annotations: {what}')
    if filled := [name for name, image in images.items() if not image.as_predicted]:
        what = f'{len(filled)} are filled with another gray than white (255), which a prediction makes white'
        warnings.append(f'{root}/{spec.size_dir}/images: {what}; convert them anew (first: {filled[0]})')
    lists = _check_lists(root, split, image_paths.keys() & mask_paths.keys(), problems)
    problems += overlaps(root, split, lists, subjects)
    train, val = ({subjects.get(name) for name in lists.get(side, ())} for side in SUBSETS)
    report.shared_subjects = sorted(train & val - {None})
    _check_pictures(root, split, lists, images, report)
    _check_classes(spec, lists, masks, report)
    report.subsets = {subset: _counts(members, subjects, masks) for subset, members in lists.items()}
    return report


def refuse_overlap(root: str | os.PathLike, split: str) -> None:
    """Refuse (InputError), by lists and index alone, a split that does not keep apart what it has to: see `overlaps`."""
    lists = {subset: read_split(root, split, subset) for subset in SUBSETS}
    subjects = {name: row.subject for name, row in load_index(root).items()}
    if problems := overlaps(Path(root), split, lists, subjects):
        raise InputError(problems[0])


def overlaps(root: Path, split: str, lists: Mapping[str, Sequence[str]], subjects: Mapping[str, int]) -> list[str]:
    """Find what would let a model be scored on what it was trained on, one problem an image or a subject.

    No image may be on both sides of any split. The splits by subject promise more in their names: no subject on both sides,
    and only the subjects that they name on the side that validates.
    """
    train, val = lists.get('train', ()), lists.get('val', ())
    both = [name for name in train if name in set(val)]
    problems = [f"{root}/splits: '{name}' is in both {split}_train.txt and {split}_val.txt; expected in one" for name in both]
    if not is_by_subject(split):
        return problems
    trains = {subjects[name]: name for name in reversed(train) if name in subjects}
    validates = sorted({subjects[name]: name for name in reversed(val) if name in subjects}.items())
    named = held_out_subjects(split) if inner_parent(split) is None else None
    for subject, name in validates:
        where = f"{root}/splits/{split}_val.txt: '{name}' is of subject {subject}"
        if subject in trains and subject not in {subjects.get(one) for one in both}:
            problems.append(f"{where}, and so is '{trains[subject]}' in {split}_train.txt; expected it on one side only")
        if named is not None and subject not in named:
            problems.append(f"{where}; expected only subjects that '{split}' names: {', '.join(map(str, named))}")
    return problems


def _files(root: Path, spec: DatasetSpec) -> list[dict[str, Path]]:
    found = []
    for kind, suffix in zip(KINDS, (spec.image_suffix, SUFFIX), strict=True):
        folder = root / spec.size_dir / kind
        if not folder.is_dir():
            sizes = ', '.join(sorted(path.parent.name for path in root.glob('*/images')))
            raise InputError(f'{folder}: no such folder; sizes in this data set: {sizes}')
        found.append({path.stem: path for path in sorted(folder.glob(f'[!.]*{suffix}'))})
    return found


def _open(path: Path, size: tuple[int, int] | None, problems: list[str]) -> tuple[str, np.ndarray | None]:
    try:
        image = load_picture(path)
    except InputError as error:
        problems.append(str(error))
        return '', None
    if size and (image.height, image.width) != tuple(size):
        problems.append(f'{path}: is {image.height}x{image.width} (height x width); expected {size[0]}x{size[1]}')
    return image.mode, np.asarray(image)


def _check_image(path: Path, spec: DatasetSpec, problems: list[str]) -> _Image | None:
    mode, pixels = _open(path, spec.size, problems)
    if pixels is None:
        return None
    if mode not in spec.image_modes:
        problems.append(f'{path}: has pixels of mode {mode}; expected {" or ".join(spec.image_modes)}')
    same = mode != 'L' or np.array_equal(whiten_filling(pixels), pixels)
    return _Image(pixels.shape[:2], hash_picture(pixels), same)


def _check_mask(path: Path, spec: DatasetSpec, size: tuple[int, int] | None, problems: list[str]) -> _Mask | None:
    mode, pixels = _open(path, size, problems)
    if pixels is None:
        return None
    if mode != 'L':
        problems.append(f'{path}: has pixels of mode {mode}; expected an 8-bit gray mask that holds class numbers')
        return None
    counts = {value: count for value, count in enumerate(np.bincount(pixels.ravel()).tolist()) if count}
    counts.pop(spec.ignore_index, None)
    classes = len(spec.classes)
    if wrong := [value for value in counts if value >= classes]:
        allowed = f'0..{classes - 1}' + ('' if spec.ignore_index is None else f' and {spec.ignore_index}')
        # As 0/255 with 255 ignored, a prediction of background everywhere would score 100 %.
        hint = '; if 255 means foreground, save it as 1' if wrong == [255] and classes == 2 else ''
        problems.append(f'{path}: holds the values {", ".join(map(str, wrong[:8]))}; expected {allowed}{hint}')
        return None
    return _Mask(sum(counts.values()) - counts.get(0, 0), sum(counts.values()), frozenset(counts))


def _check_index(root: Path, names: set[str], problems: list[str]) -> dict[str, int]:
    try:
        index = load_index(root)
    except InputError as error:
        problems.append(str(error))
        return {}
    problems += [f"{root}/index.csv: '{name}' has files but is not listed" for name in sorted(names - index.keys())]
    return {name: row.subject for name, row in index.items()}


def _check_lists(root: Path, split: str, names: set[str], problems: list[str]) -> dict[str, list[str]]:
    lists = {}
    for subset in SUBSETS:
        path = root / 'splits' / f'{split}_{subset}.txt'
        if (split, subset) == (ALL, 'val') and not path.exists():
            continue
        try:
            counted = Counter(read_split(root, split, subset))
        except InputError as error:
            problems.append(str(error))
            continue
        problems += [f"{path}: '{name}' is listed {count} times; expected once" for name, count in counted.items() if count > 1]
        problems += [f"{path}: '{name}' has no image or no mask" for name in counted if name not in names]
        lists[subset] = list(counted)
    return lists


def _check_pictures(
    root: Path, split: str, lists: Mapping[str, Sequence[str]], images: Mapping[str, _Image], report: DatasetReport
) -> None:
    where, alike = f'{root}/splits/{split}_val.txt', []
    hashes = {name: image.hash for name, image in images.items()}
    for name, original, equal in same_pictures(lists.get('train', ()), lists.get('val', ()), hashes):
        if equal:
            place = f"pixel by pixel '{original}' in {split}_train.txt"
            report.problems.append(f"{where}: '{name}' is {place}; expected no picture on both sides")
        else:
            alike.append(f'{name} and {original}')
    if alike:
        shown = ', '.join(alike[:3]) + ', ...' * (len(alike) > 3)
        report.warnings.append(f'{where}: {len(alike)} scans look like copies of training scans: {shown}')


def _check_classes(
    spec: DatasetSpec, lists: Mapping[str, Sequence[str]], masks: Mapping[str, _Mask], report: DatasetReport
) -> None:
    train = [masks[name] for name in lists.get('train', ()) if name in masks]
    present = frozenset().union(*(mask.classes for mask in train))
    missing = [f'class {label}' + ' (background)' * (not label) for label in range(len(spec.classes)) if label not in present]
    for label in missing if any(present) else [' or '.join(spec.classes[1:])]:
        report.problems.append(
            f'{spec.root}/splits/{spec.split}_train.txt: none of its {len(train)} masks has a pixel of {label}; '
            'a model cannot learn it; check how masks were made'
        )


def _counts(names: Sequence[str], subjects: Mapping[str, int], masks: Mapping[str, _Mask]) -> SubsetCounts:
    found = [masks[name] for name in names if name in masks]
    pixels, foreground = sum(mask.valid for mask in found), sum(mask.foreground for mask in found)
    return SubsetCounts(
        images=len(names),
        subjects=len({subjects[name] for name in names if name in subjects}),
        with_fluid=sum(mask.foreground > 0 for mask in found),
        fluid_share=foreground / pixels if pixels else 0.0,
    )
