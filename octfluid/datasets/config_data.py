"""What a config says of its data: lists, classes, folders; and the check of all of it. Imports no mmseg by itself."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from octfluid.datasets.integrity import DatasetReport, DatasetSpec, check_dataset

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def inner_datasets(dataset: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return the settings of the data sets inside wrappers such as `RepeatDataset` and `ConcatDataset`."""
    if dataset is None:
        return []
    parts = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    return [inner for part in parts for inner in inner_datasets(part)] if parts else [dataset]


def dataset_type(loader: Any) -> str | None:
    """Return the class name of a loader's data set, inside of wrappers."""
    if not loader:
        return None
    kind = inner_datasets(loader['dataset'])[0]['type']
    return kind if isinstance(kind, str) else kind.__name__


def split_of(cfg: Mapping[str, Any], tested: bool = False) -> str:
    """Return the name of the split, by its lists, of the scans that a config trains on, or that are ``tested``."""
    order = ('test_dataloader', 'val_dataloader', 'train_dataloader')
    for key in order if tested or not cfg.get('train_dataloader') else reversed(order):
        for dataset in inner_datasets((cfg.get(key) or {}).get('dataset')):
            if name := dataset.get('ann_file'):
                stem = PurePosixPath(name).stem
                return stem.removesuffix('_train').removesuffix('_val')
    return 'none'


def _class_of(dataset: Any) -> type | None:
    from mmseg.registry import DATASETS

    return DATASETS.get(dataset['type']) if isinstance(dataset.get('type'), str) else dataset.get('type')


def _first_datasets(cfg: Mapping[str, Any]) -> list[Any]:
    found = (inner_datasets((cfg.get(loader) or {}).get('dataset')) for loader in LOADERS)
    return [datasets[0] for datasets in found if datasets]


def meta_of(cfg: Mapping[str, Any]) -> dict[str, list]:
    """Return ``classes`` and ``palette`` of a config's data set, plain lists."""
    first = _first_datasets(cfg)[0]
    meta = {**getattr(_class_of(first), 'METAINFO', {}), **(first.get('metainfo') or {})}
    return {key: list(meta.get(key, ())) for key in ('classes', 'palette')}


def classes_of(cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the class names of a config's data set, from 0."""
    return tuple(meta_of(cfg)['classes'])


def data_root_of(cfg: Mapping[str, Any]) -> str:
    """Return the folder of a config's data set."""
    return _first_datasets(cfg)[0].get('data_root', '')


def dataset_spec(cfg: Mapping[str, Any]) -> DatasetSpec | None:
    """Say where the data of a config lie and what they must look like; None where the data set is not one of ours."""
    from octfluid.datasets.fluid_dataset import FluidDataset

    datasets = _first_datasets(cfg)
    first, last = datasets[0], datasets[-1]
    cls = _class_of(first)
    if cls is None or not issubclass(cls, FluidDataset):
        return None
    evaluators = cfg.get('val_evaluator') or cfg.get('test_evaluator') or {}
    evaluator = evaluators[0] if isinstance(evaluators, list | tuple) else evaluators
    size = first.get('scan_size')
    return DatasetSpec(
        root=first['data_root'],
        size_dir=Path(first['data_prefix']['img_path']).parent.as_posix(),
        truth_dir=Path(last['data_prefix']['seg_map_path']).parent.as_posix(),
        split=split_of(cfg),
        size=None if size is None else tuple(size),
        classes=classes_of(cfg),
        ignore_index=evaluator.get('ignore_index'),
        image_suffix=cls.IMAGE_SUFFIX,
        image_modes=cls.IMAGE_MODES,
    )


def check_data(cfg: Mapping[str, Any]) -> DatasetReport:
    """Run `check_dataset` on a config's data, and on the masks it is scored against where they are of another size.

    The report is empty for a data set that is not one of ours.
    """
    spec = dataset_spec(cfg)
    if spec is None:
        return DatasetReport()
    report = check_dataset(spec)
    if spec.truth_dir != spec.size_dir:
        report.problems += check_dataset(replace(spec, size_dir=spec.truth_dir, size=None)).problems
    return report
