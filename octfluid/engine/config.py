"""From a config file and command line overrides to one resolved config, with everything questionable refused."""

import copy
import difflib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.runner import Runner

from octfluid.engine.config_checks import check_datasets, check_losses, check_monitors, check_scan_segmentor, check_scoring
from octfluid.engine.config_schema import check_kinds, refuse_nan
from octfluid.utils.errors import InputError

# Top-level keys with a meaning: those of mmengine's Runner and our own. Other names may hold what a config likes, unless
# they are so close to one of these that a typo is more likely.
KNOWN_KEYS = sorted(
    set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
    | {
        'custom_imports',
        'data_root',
        'init',
        'split',
        'channels_last',
        'window_batch',
        'reuse_memory',
        'prepare_weights',
        'amp_scoring',
        'runner_type',
        'test_only',
    }
)


@dataclass(frozen=True)
class DatasetSpec:
    """Where a config's data lie and what they must look like.

    Attributes:
        root: Folder of the prepared data set.
        size_dir: Folder of the size used, such as ``'paper_256'``.
        truth_dir: Folder of the size whose masks are scored against; ``size_dir`` but where a config says otherwise.
        split: Name of the split.
        size: (height, width) in pixels of every scan, or None when not fixed.
        classes: Names by label, from 0.
        ignore_index: Mask value that counts as no pixel, where the config declares one.
        image_suffix: Suffix of the image files.
        image_modes: Pillow's names of the pixel formats that an image may have.
    """

    root: str
    size_dir: str
    truth_dir: str
    split: str
    size: tuple[int, int] | None
    classes: tuple[str, ...]
    ignore_index: int | None
    image_suffix: str
    image_modes: tuple[str, ...]


def parse_options(items: Sequence[str] | None) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` command line overrides, as MMSegmentation's ``--cfg-options``.

    Raises:
        InputError: An item without ``=``, or with a bracket that is not closed.
    """
    options = {}
    for item in items or ():
        key, equals, value = item.partition('=')
        if not equals or not key:
            raise InputError(f'--cfg-options {item!r}: expected KEY=VALUE, such as train_cfg.max_iters=5')
        try:
            options[key] = DictAction._parse_iterable(value)
        except AssertionError as error:
            raise InputError(f'--cfg-options {item!r}: {error}; expected as many brackets closed as opened') from error
        except RecursionError as error:
            raise InputError(f'--cfg-options {key}: too many brackets within each other; expected a few') from error
    return options


def load_config(
    path: str | Path,
    options: dict[str, Any] | None = None,
    *,
    split: str | None = None,
    init: str | None = None,
    seed: int | None = None,
) -> Config:
    """Read and resolve a config.

    Args:
        path: The config file.
        options: Overrides by dotted key (see `parse_options`).
        split: Name of the split, in place of the config's.
        init: Path or URL of initial weights, or ``'none'`` for random ones, in place of the config's.
        seed: In place of the config's.

    Returns:
        A config with the split and data root written into every dataset, the number of classes into every head, and the
        test dataloader and evaluator equal to validation's.

    Raises:
        InputError: The file cannot be read as a config, has a misspelt key, or asks for something that is refused.
    """
    cfg = _read(Path(path))
    _refuse_typos(cfg, path)
    for key, value in (options or {}).items():
        _refuse_bad_option(cfg, key, value)
        try:
            cfg.merge_from_dict({key: value})
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f'--cfg-options {key}={value}: does not fit {path} ({error})') from error
    if seed is not None and isinstance(cfg.get('randomness'), dict):
        cfg.randomness.seed = seed
    _refuse_malformed(cfg, path)
    if split is not None:
        cfg.split = split
    if init is not None:
        cfg.init = None if init == 'none' else dict(files=[init], reinit=(cfg.get('init') or {}).get('reinit', []))
    _resolve(cfg, path)
    return cfg


def _read(path: Path) -> Config:
    if not path.is_file():
        raise InputError(f'no config file at {path}; expected a Python config such as configs/table2/10_crop320_wd1e-4.py')
    try:
        return Config.fromfile(path)
    except SyntaxError as error:
        file = error.filename if error.filename and Path(error.filename).is_file() else path
        line = f', line {error.lineno}' if error.lineno else ''
        raise InputError(f'{file}{line}: not valid Python ({error.msg})') from error
    except KeyboardInterrupt:  # of the user, or of a signal
        raise
    except BaseException as error:
        # A config is code, so reading it can fail in any way, and even end Python as if all were done; the user needs the file
        # and the reason, not our stack.
        raise InputError(f'{path}: cannot be read as a config ({type(error).__name__}: {error})') from error


def _refuse_typos(cfg: Config, path: str | Path) -> None:
    for key in cfg:
        near = difflib.get_close_matches(key, KNOWN_KEYS, n=1, cutoff=0.8)
        if key not in KNOWN_KEYS and near:
            raise InputError(f"{path}: unknown top-level key '{key}'; did you mean '{near[0]}'?")


def _refuse_bad_option(cfg: Config, dotted: str, value: Any) -> None:
    """Refuse an override without a parent, one that is a near miss of a sibling, and one value for a group of settings."""
    *parents, last = dotted.split('.')
    top = dotted.split('.')[0]
    if top in cfg and top not in KNOWN_KEYS:
        raise InputError(
            f"--cfg-options {dotted}: '{top}' is only a variable of the config file and changing it now would change nothing; "
            'set what is made of it, such as train_dataloader... or model...'
        )
    node: Any = cfg
    for depth, part in enumerate(parents):
        if isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, (Config, ConfigDict, dict)) and part in node:
            node = node[part]
        else:
            near = difflib.get_close_matches(part, list(node), n=1) if isinstance(node, (Config, dict)) else []
            hint = f"; did you mean '{near[0]}'?" if near else ''
            raise InputError(f"--cfg-options {dotted}: the config has no '{'.'.join(parents[: depth + 1])}'{hint}")
    if isinstance(node, (Config, dict)) and last not in node:
        # Deep in a config 'dtype' beside 'type' is no typo, so the likeness must be greater there.
        siblings = list(node) if parents else [*node, *KNOWN_KEYS]
        near = difflib.get_close_matches(last, siblings, n=1, cutoff=0.9 if parents else 0.8)
        if near and last not in KNOWN_KEYS:
            raise InputError(f"--cfg-options {dotted}: unknown key '{last}'; did you mean '{near[0]}'?")
        if not parents and last not in KNOWN_KEYS:
            raise InputError(f"--cfg-options {dotted}: nothing reads '{last}'; expected one of {', '.join(KNOWN_KEYS)}")
    if isinstance(node, (Config, dict)) and isinstance(node.get(last), dict) and not isinstance(value, (dict, type(None))):
        raise InputError(
            f'--cfg-options {dotted}={value}: is a group of settings; expected one of them, as {dotted}.NAME=VALUE'
        )


def _refuse_malformed(cfg: Config, path: str | Path) -> None:
    for key in KNOWN_KEYS:
        refuse_nan(cfg.get(key), key, path)
    check_kinds(cfg, path)


def _resolve(cfg: Config, path: str | Path) -> None:
    if cfg.get('test_dataloader') or cfg.get('test_evaluator'):
        raise InputError(f'{path}: sets test_dataloader or test_evaluator; testing is validation, change val_* instead')
    if cfg.get('load_from') or cfg.get('resume'):
        raise InputError(f'{path}: sets load_from or resume; name initial weights with --init, go on with a run by --resume')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        for key in ('data_root', 'split'):
            if loader.dataset.setdefault(key, cfg[key]) != cfg[key]:
                raise InputError(f"{path}: a dataset sets {key}='{loader.dataset[key]}'; set the top-level {key} instead")
        if not loader.setdefault('num_workers', 0):
            loader.persistent_workers = False
        if loader.dataset.get('reduce_zero_label'):
            raise InputError(f'{path}: reduce_zero_label=True would drop the background; expected False, remove the setting')
    _fill_num_classes(cfg.model, len(dataset_spec(cfg).classes), path)
    _check_init(cfg, path)
    check_datasets(cfg, path)
    check_losses(cfg, path)
    check_scoring(cfg, path)
    check_scan_segmentor(cfg, path)
    if cfg.val_evaluator.get('type') != 'FluidMetric':
        raise InputError(
            f"{path}: val_evaluator is '{cfg.val_evaluator.get('type')}'; expected FluidMetric, which counts by scan"
        )
    saving = cfg.default_hooks.get('checkpoint')
    if not saving or not saving.get('save_last', True):
        raise InputError(f'{path}: default_hooks.checkpoint must save the last weights, which are those that are scored')
    check_monitors(cfg, dataset_spec(cfg).classes, path)
    if saving.get('max_keep_ckpts') == 1:
        raise InputError(
            f'{path}: default_hooks.checkpoint.max_keep_ckpts=1 would delete the only checkpoint before the next is written; '
            'expected 2 or more, or -1 for all'
        )
    if saving.get('save_best') and '-inner' not in cfg.split:
        raise InputError(
            f"{path}: save_best on split '{cfg.split}' would pick weights on the images that are reported; "
            "choose on an inner split such as 'paper-inner1', or remove save_best"
        )
    if saving.get('save_best'):
        saving.setdefault('rule', 'greater')  # mmengine knows the direction of its own scores only
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    cfg.test_evaluator = copy.deepcopy(cfg.val_evaluator)


def _check_init(cfg: Config, path: str | Path) -> None:
    if not cfg.get('init'):
        return
    unknown = sorted(set(cfg.init) - {'files', 'reinit'})
    if unknown or not cfg.init.get('files'):
        found = f"has '{unknown[0]}'" if unknown else 'names no files'
        raise InputError(f'{path}: init {found}; expected init=dict(files=[...], reinit=[...]), or None for random weights')
    for key in ('files', 'reinit'):
        names = cfg.init.get(key, [])
        if isinstance(names, str):
            cfg.init[key] = names = [names]
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise InputError(f'{path}: init.{key} is {names!r}; expected names, as in init=dict(files=[...], reinit=[...])')


def _fill_num_classes(model: ConfigDict, classes: int, path: str | Path) -> None:
    for key in ('decode_head', 'auxiliary_head'):
        heads = model.get(key) or []
        for head in heads if isinstance(heads, (list, tuple)) else [heads]:
            if head.get('num_classes', classes) != classes:
                raise InputError(
                    f'{path}: {key}.num_classes={head.num_classes}, but the dataset has {classes} classes; remove the setting'
                )
            if head.get('out_channels', classes) != classes or head.get('threshold') is not None:
                raise InputError(
                    f'{path}: {key} sets out_channels or threshold; every class has its own output here, remove the setting'
                )
            head.num_classes = classes


def dataset_spec(cfg: Config) -> DatasetSpec:
    """Say where the data of a resolved config lie and what they must look like.

    Raises:
        InputError: The dataset class is not one of ours.
    """
    from mmseg.registry import DATASETS

    import octfluid.register  # noqa: F401  registers the dataset classes
    from octfluid.datasets.fluid_dataset import FluidDataset

    dataset = cfg.train_dataloader.dataset
    cls = DATASETS.get(dataset.type)
    if cls is None or not issubclass(cls, FluidDataset):
        raise InputError(
            f"dataset type '{dataset.type}' is not one of octfluid's; expected DukeDMEDataset, PhantomDataset or HRFDataset"
        )
    size = dataset.get('scan_size')
    return DatasetSpec(
        root=cfg.data_root,
        size_dir=dataset.size_dir,
        truth_dir=cfg.val_dataloader.dataset.get('truth_dir') or dataset.size_dir,
        split=cfg.split,
        size=None if size is None else tuple(size),
        classes=tuple(cls.METAINFO['classes']),
        ignore_index=cfg.val_evaluator.get('ignore_index'),
        image_suffix=cls.IMAGE_SUFFIX,
        image_modes=cls.IMAGE_MODES,
    )


def split_of(cfg: Config) -> str:
    """Return the name of the split that a resolved config uses."""
    return cfg.split


def data_root_of(cfg: Config) -> str:
    """Return the folder of the data set that a resolved config uses."""
    return cfg.data_root
