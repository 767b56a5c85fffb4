"""The integrity check of all data that a resolved config uses."""

import os
from pathlib import Path

from mmengine.config import Config

from octfluid.datasets.integrity import KINDS, SUFFIX, DatasetReport, check_dataset, check_mask
from octfluid.datasets.splits import read_split
from octfluid.engine.config import DatasetSpec, dataset_spec
from octfluid.records.origin import ALL
from octfluid.utils.errors import InputError


def check_data(cfg: Config) -> DatasetReport:
    """Check the files and lists of a config's split, and the masks it is scored against where they are of another size.

    Args:
        cfg: From `octfluid.engine.config.load_config`.

    Returns:
        As `octfluid.datasets.integrity.check_dataset`.

    Raises:
        InputError: No such data set, sub-folder or split.
    """
    spec = dataset_spec(cfg)
    report = check_dataset(
        spec.root, spec.size_dir, spec.split, spec.size, len(spec.classes), spec.ignore_index,
        foreground=' or '.join(spec.classes[1:]), image_suffix=spec.image_suffix, image_modes=spec.image_modes,
    )  # fmt: skip
    if spec.truth_dir != spec.size_dir:
        # Split all has no list of scans to score: all of them are.
        report.problems += _truth_problems(spec, 'train' if spec.split == ALL else 'val')
    return report


def refuse_data_folder(cfg: Config, path: str | Path, what: str) -> None:
    """Refuse to write where a config's scans, masks or lists lie: overlays have the names of the scans.

    Args:
        cfg: From `octfluid.engine.config.load_config`.
        path: The folder, which need not exist.
        what: What to call it in the message, such as ``'--show-dir'``.

    Raises:
        InputError: It is one of those folders or in one, or holds the files that those link to.
    """
    spec, place = dataset_spec(cfg), Path(os.path.realpath(path))
    root = Path(spec.root)
    for size, kind in ((spec.size_dir, KINDS[0]), (spec.size_dir, KINDS[1]), (spec.truth_dir, KINDS[1]), ('', 'splits')):
        folder = root / size / kind
        links = [file for file in folder.iterdir() if file.is_symlink()] if folder.is_dir() else []
        linked = any(Path(os.path.realpath(file)).parent == place for file in links)
        if linked or place.is_relative_to(os.path.realpath(folder)):
            raise InputError(f'{what} {path}: holds what is in {folder}; expected a folder without data')


def _truth_problems(spec: DatasetSpec, subset: str) -> list[str]:
    folder = Path(spec.root) / spec.truth_dir / 'annotations'
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder; truth_dir names the size of the masks that are scored against')
    problems = []
    for name in read_split(spec.root, spec.split, subset):
        path = folder / f'{name}{SUFFIX}'
        if path.is_file():
            problems += check_mask(path, None, len(spec.classes), spec.ignore_index)[1]
        else:
            problems.append(f'{path}: no such mask; make the data set again')
    return problems
