"""From a config file and command line options to the config that runs: options only set ordinary keys of it."""

import difflib
import inspect
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS
from torch import nn

from octfluid.datasets.config_data import LOADERS, classes_of, inner_datasets, split_of
from octfluid.datasets.splits import ALL
from octfluid.engine.performance import mixed_precision, precision_of, speed_of_mixed, use_precision
from octfluid.utils.cli import parse_options
from octfluid.utils.errors import InputError

RUNNER_KEYS = sorted(
    set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
    | {
        'activation_checkpointing', 'compile', 'custom_imports', 'efficient_conv_bn_eval', 'find_unused_parameters',
        'model_wrapper_cfg', 'runner_type', 'sync_bn', 'tta_model', 'tta_pipeline',
    }
)  # fmt: skip
"""Top-level keys that mmengine or MMSegmentation reads. Helpers may have any other name that is not a likely typo of these."""

__all__ = ['build_network', 'load_config', 'parse_options', 'set_precision', 'set_split']
_ENDLESS = ('CountedSampler', 'InfiniteSampler')
_USUAL_HELPERS = ('optimizer', 'train_pipeline', 'test_pipeline', 'model_cfg', 'tta_cfg')


def load_config(
    path: str | Path,
    options: dict[str, Any] | None = None,
    *,
    split: str | None = None,
    init: str | None = None,
    seed: int | None = None,
) -> Config:
    """Read a config and set what command line options name.

    Args:
        path: The config file.
        options: Settings by dotted key (see `parse_options`). ``data_root`` sets that of every data set.
        split: Sets the lists of all data sets. ``all`` trains on every scan and leaves none to validate; a test scores all.
        init: Path or URL of initial weights, or ``'none'`` for random ones: sets ``load_from``.
        seed: Sets ``randomness.seed``.

    Raises:
        InputError: The file cannot be read as a config, a key is a near miss, or a setting would make a result wrong.
    """
    path = Path(path)
    try:
        cfg = Config.fromfile(path)
    except (Exception, SystemExit) as error:  # a config is code, which can fail in any way, and even end Python
        raise InputError(f'{path}: cannot be read as a config ({type(error).__name__}: {error})') from error
    _refuse_near_misses(cfg, path)
    for key, value in (options or {}).items():
        _set_option(cfg, key, value, path)
    if seed is not None:
        cfg.merge_from_dict({'randomness.seed': seed})
    if init is not None:
        cfg.load_from = None if init == 'none' else init
    if split is not None:
        set_split(cfg, split)
    _refuse_wrong_results(cfg, path)
    return cfg


def _refuse_near_misses(cfg: Config, path: Path) -> None:
    for key in cfg:
        near = difflib.get_close_matches(key, RUNNER_KEYS, n=1, cutoff=0.8)
        if key not in RUNNER_KEYS and near and key not in _USUAL_HELPERS:
            raise InputError(f"{path}: unknown top-level key '{key}'; did you mean '{near[0]}'?")


def _datasets(cfg: Config, loader: str) -> list:
    return inner_datasets((cfg.get(loader) or {}).get('dataset'))


def _set_option(cfg: Config, key: str, value: Any, path: Path) -> None:
    if key == 'data_root':
        for dataset in (dataset for loader in LOADERS for dataset in _datasets(cfg, loader)):
            dataset['data_root'] = str(value)
        return
    top = key.split('.')[0]
    if top not in RUNNER_KEYS:
        near = difflib.get_close_matches(top, RUNNER_KEYS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ''
        raise InputError(f"--cfg-options {key}: no Runner reads '{top}'{hint}")
    same = top.startswith('val_') and cfg.get(top) is not None and cfg.get(top.replace('val_', 'test_', 1)) == cfg[top]
    try:
        cfg.merge_from_dict({key: value})
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f'--cfg-options {key}={value}: does not fit {path} ({error})') from error
    if top in LOADERS and key.endswith('.num_workers') and not value:
        cfg[top].persistent_workers = False
    if same and top in ('val_dataloader', 'val_evaluator'):  # testing is validation, unless it is set by itself
        _set_option(cfg, key.replace('val_', 'test_', 1), value, path)


def set_split(cfg: Config, split: str) -> None:
    """Set the lists of a config's data sets to those of a split, ``splits/<split>_{train,val}.txt``."""
    for loader in LOADERS:
        subset = 'train' if loader == 'train_dataloader' or split == ALL else 'val'
        for dataset in _datasets(cfg, loader):
            dataset['ann_file'] = f'splits/{split}_{subset}.txt'
    if split == ALL and cfg.get('train_dataloader'):
        cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None


def set_precision(cfg: Config, amp: str | None, resumed: str | None = None) -> str | None:
    """Set the precision of training and return what was measured, in one line; None where nothing was.

    ``amp`` is ``'on'`` for mixed precision, ``'auto'`` for what is faster on this machine, None for the config's own;
    ``resumed`` is the precision of the run that is resumed, which stays. InputError: the config sets mixed precision.
    """
    if amp is None:
        return None
    if precision_of(cfg) != 'fp32':
        raise InputError(f'--amp: the config already sets optim_wrapper.type={cfg.optim_wrapper.type}; drop one of the two')
    mixed = mixed_precision()
    if resumed or amp == 'on':
        use_precision(cfg, resumed or mixed)
        return None
    ratio = speed_of_mixed()
    chosen = mixed if ratio > 1 else 'fp32'
    use_precision(cfg, chosen)
    return f'--amp: a convolution runs {ratio:.2g} times as fast in {mixed} as in float32 on this machine; using {chosen}'


def _refuse_wrong_results(cfg: Config, path: Path) -> None:
    if any(dataset.get('reduce_zero_label') for loader in LOADERS for dataset in _datasets(cfg, loader)):
        raise InputError(f'{path}: reduce_zero_label=True would drop the background; remove the setting')
    classes = len(classes_of(cfg))
    for name in ('decode_head', 'auxiliary_head'):
        heads = cfg.model.get(name) or []
        for head in heads if isinstance(heads, list | tuple) else [heads]:
            if classes and head.get('num_classes', classes) != classes:
                raise InputError(f'{path}: model.{name}.num_classes={head.num_classes}, but the data set has {classes} classes')
    saving = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    lists = [{dataset.get('ann_file') for dataset in _datasets(cfg, loader)} for loader in LOADERS[:2]]
    if both := sorted(name for name in lists[0] & lists[1] if name):
        raise InputError(f'{path}: trains on the list that it validates on, {both[0]}; expected lists that share no scan')
    if saving.get('save_best'):
        if not all('-inner' in str(name) for name in lists[1]):
            raise InputError(
                f"{path}: save_best on split '{split_of(cfg)}' would pick weights on the images that are reported; "
                "choose on an inner split such as 'paper-inner1', or remove save_best"
            )
        saving.setdefault('rule', 'greater')  # mmengine knows the direction of its own scores only
    loop, sampler = cfg.get('train_cfg') or {}, (cfg.get('train_dataloader') or {}).get('sampler') or {}
    if (loop.get('by_epoch') or loop.get('type') == 'EpochBasedTrainLoop') and sampler.get('type') in _ENDLESS:
        raise InputError(f"{path}: an epoch never ends with {sampler['type']}; use dict(type='DefaultSampler', shuffle=True)")
    if cfg.model.get('type') == 'ScanSegmentor' and cfg.get('train_dataloader'):
        steps = [step for dataset in _datasets(cfg, 'train_dataloader') for step in dataset.get('pipeline') or ()]
        sizes = {tuple(step['scale'])[::-1] for step in steps if step['type'] == 'Resize'}
        size = cfg.model.get('working_size')
        if sizes != ({tuple(size)} if size else set()) or 'StandardizeScan' not in [step['type'] for step in steps]:
            raise InputError(
                f'{path}: the training pipeline resizes to {sorted(sizes) or "no size"}, and model.working_size is {size}; '
                'expected the same (height, width), and StandardizeScan, as the network sees scans in prediction'
            )


def build_network(cfg: Config) -> nn.Module:
    """Build the network of a config, with random weights; an InputError has the library's message."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    try:
        return MODELS.build(cfg.model)
    except Exception as error:
        raise InputError(f'{cfg.filename}: {type(error).__name__}: {" ".join(str(error).split())}') from error
