"""Checkpoints of MMSegmentation, read without running code, loaded whole, and described for the record."""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import nn

from octfluid.utils.atomic import atomic_path
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json

WAYS_ON = (
    'get it with `bash scripts/download_checkpoints.sh` (OpenMMLab zoo), train it with `bash scripts/pretrain_hrf.sh`, name '
    'another with `--init PATH`, or start from random weights with `--init none`'
)
_HASH_IN_NAME = re.compile(r'-([0-9a-f]{8})\.pth$')
_ZOO = re.compile(r'_40k_(hrf_2020\d{4}_\d{6}|zoo)-[0-9a-f]{8}\.pth$')  # as it is, or published again


def _history_attribute(owner: Any, name: str) -> Any:
    """Stand in for `getattr`, by which pickles of MMSegmentation name the statistics of a `HistoryBuffer`."""
    return getattr(owner, name) if owner is HistoryBuffer and not name.startswith('_') else None


def _harmless_types() -> list:
    # Never 'O': its arrays hold addresses.
    dtypes = {type(np.dtype(kind)) for kind in ('b1', 'u1', 'i2', 'i4', 'i8', 'u4', 'u8', 'f2', 'f4', 'f8', 'U1')}
    reconstruct, scalar = np._core.multiarray._reconstruct, np._core.multiarray.scalar
    return [
        HistoryBuffer, np.ndarray, np.dtype, *dtypes, slice,
        *((function, f'numpy.{core}.multiarray.{function.__name__}')
          for function in (reconstruct, scalar) for core in ('core', '_core')),
        (_history_attribute, 'builtins.getattr'), (_history_attribute, '__builtin__.getattr'),
    ]  # fmt: skip


def read_checkpoint(path: str | Path, map_location: Any = 'cpu') -> dict[str, Any]:
    """Read a checkpoint of MMSegmentation 0.x or 1.x, or of octfluid, without running code of it.

    ``path`` is a local ``.pth`` file or a URL, which is kept in torch's hub cache. The result has at least
    ``state_dict`` (name to tensor).

    Raises:
        InputError: No such file, a broken file, or one with more than tensors, plain values and `_harmless_types`.
    """
    local = fetch(str(path))
    require_weights(str(local))
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless_types()):
            warnings.simplefilter('ignore')
            content = torch.load(local, map_location=map_location, weights_only=True)
    except Exception as error:  # a damaged file can make the reader fail in any way
        unsafe = 'weights_only' in str(error).lower() or 'Unsupported' in str(error)
        reason = 'holds more than tensors and plain values, which could run code, or' if unsafe else 'is damaged or'
        raise InputError(f'{path}: refused, it {reason} is no checkpoint; fetch or write it again') from error
    if isinstance(content, dict) and 'state_dict' not in content and _is_state_dict(content):
        content = {'state_dict': content}
    if not isinstance(content, dict) or not _is_state_dict(content.get('state_dict')):
        raise InputError(f'{path}: holds no state_dict of named tensors; expected a checkpoint of MMSegmentation')
    return content


def _is_state_dict(content: Any) -> bool:
    return isinstance(content, Mapping) and bool(content) and all(isinstance(value, torch.Tensor) for value in content.values())


def require_weights(name: str | None) -> None:
    """Refuse (InputError) a local file of weights that is missing; None and URLs pass."""
    if name and '://' not in name and not Path(name).expanduser().is_file():
        raise InputError(f'no weights at {name}; for initial weights: {WAYS_ON}')


def fetch(name: str) -> Path:
    """Return the local path of a file or URL; a digest in a URL's file name is checked, as `torch.hub` does."""
    if not name.startswith(('http://', 'https://')):
        return Path(name).expanduser()
    # Files of one name from two places must not stand for each other, so each address has a folder of its own.
    folder = Path(torch.hub.get_dir()) / 'checkpoints' / hashlib.sha256(name.encode()).hexdigest()[:16]
    target = folder / Path(urlsplit(name).path).name
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        digest = torch.hub.HASH_REGEX.search(target.name)
        try:
            torch.hub.download_url_to_file(name, str(target), digest.group(1) if digest else None, progress=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f'{name}: could not be fetched ({error}); download it by hand and pass --init PATH') from error
    return target


def fit(state_dict: Mapping[str, Any], model: nn.Module, name: str, reinit: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """Return the tensors that a model takes from a state dict: all of its own, but for those of ``reinit``.

    Args:
        state_dict: Name to tensor; a leading ``module.`` (from a distributed run) is dropped.
        model: Without a distributed wrapper.
        name: What to call the source in an error.
        reinit: Prefixes of parameters that keep their random initialisation, such as ``'decode_head.conv_seg'``.

    Raises:
        InputError: A tensor outside ``reinit`` is missing, unexpected, of another shape, or not finite.
    """
    expected = model.state_dict()
    anew = tuple(prefix.rstrip('.') + '.' for prefix in reinit)
    wanted = {key for key in expected if not f'{key}.'.startswith(anew)}
    given = {key.removeprefix('module.'): value for key, value in state_dict.items()}
    given = {key: value for key, value in given.items() if not f'{key}.'.startswith(anew)}
    differing = {
        'missing': sorted(wanted - given.keys()),
        'unexpected': sorted(given.keys() - wanted),
        'of another shape': sorted(key for key in wanted & given.keys() if given[key].shape != expected[key].shape),
    }
    if any(differing.values()):
        details = ', '.join(f'{len(keys)} {what} (first: {keys[0]})' for what, keys in differing.items() if keys)
        raise InputError(
            f'{name}: made for another architecture, of {len(expected)} tensors {details}; use the config it was trained with '
            '(when fine-tuning, name heads to train anew in default_hooks.initial_weights.reinit)'
        )
    for key in sorted(wanted):
        if not (given[key].isfinite().all() and given[key].to(expected[key].dtype).isfinite().all()):
            raise InputError(f'{name}: {key} holds NaN or infinite values; expected weights of a training that went well')
    return given


def load_weights(model: nn.Module, state_dict: Mapping[str, Any], name: str, reinit: Sequence[str] = ()) -> tuple[int, int]:
    """Load a state dict strictly, as `fit`; return the numbers of tensors loaded and of tensors in the model."""
    given, expected = fit(state_dict, model, name, reinit), model.state_dict()
    model.load_state_dict({**expected, **given})
    return len(given), len(expected)


def describe_weights(name: str, loaded: int, total: int) -> dict[str, Any]:
    """Return what a record says of a weights file or URL, see `octfluid.records.schema.Init`.

    The source is 'hrf-zoo' or 'hrf-own' only if the file's SHA-256 begins with the digits in its name.
    """
    local = fetch(name)
    digest = file_sha256(local)
    named = _HASH_IN_NAME.search(local.name)
    believed = named and digest.startswith(named[1])
    own = 'hrf-own' if '_hrf-' in local.name else 'other'
    source = 'other' if not believed else 'hrf-zoo' if _ZOO.search(local.name) else own
    shown = name if '://' in name else local.name
    return dict(source=source, name=shown, sha256=digest, loaded=loaded, total=total)


@dataclass(frozen=True)
class Origin:
    """The training that weights come from; None for what they do not say."""

    split: str | None = None
    dataset: str | None = None  # its type, such as 'DukeDMEDataset'
    iterations: int | None = None
    seed: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)  # config settings by dotted key


def origin_of(name: str | Path, stored: Mapping[str, Any]) -> Origin:
    """Read what weights (a file or URL, and its content) say of their training: a checkpoint in itself, published weights in
    the card next to them.
    """
    meta = stored.get('meta') or {}
    if run := stored.get('run'):
        settings, overrides = run['settings'], json.loads(run['overrides'])
        return Origin(settings['split'], run['dataset'], meta.get('iter'), settings['seed'], overrides)
    card = fetch(str(name)).with_suffix('.json')
    published = read_json(card) if card.is_file() else {}
    if not isinstance(published, dict) or not str(published.get('schema', '')).startswith('octfluid.weights/'):
        return Origin(iterations=meta.get('iter'), seed=meta.get('seed'))
    return Origin(published['split'], published['dataset'], published['iterations'], published['seed'], published['overrides'])


def last_checkpoint(work_dir: str | Path) -> Path | None:
    """Return the checkpoint that a resume in ``work_dir`` takes (mmengine's ``last_checkpoint``), None without one."""
    mark = Path(work_dir) / 'last_checkpoint'
    if not mark.is_file():
        return None
    path = Path(mark.read_text(encoding='utf-8', errors='replace').strip())
    here = Path(work_dir) / path.name  # the folder may have been moved
    return here if here.is_file() else path


class AtomicBackend(LocalBackend):
    """mmengine's local files, written whole or not at all: under a temporary name first."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes."""
        with atomic_path(Path(filepath)) as temporary:
            super().put(obj, temporary)


def use_safe_loading() -> None:
    """Have mmengine read local files and URLs by `read_checkpoint`; its own loader falls back to running pickled code."""
    for prefix in ('', 'http://', 'https://'):
        CheckpointLoader.register_scheme(prefix, lambda name, map_location=None, **_: read_checkpoint(name, map_location), True)
    register_backend('AtomicBackend', AtomicBackend, force=True)
