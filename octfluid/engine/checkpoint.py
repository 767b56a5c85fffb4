"""Weights from files: tensors only, loaded strictly, and counted."""

import fnmatch
import glob
import hashlib
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from octfluid.engine.checkpoint_schema import check_tensors, checked_content
from octfluid.records.record import file_sha256
from octfluid.utils.errors import InputError

OWN_CHECKPOINT = re.compile(r'iter_\d+\.pth')
THREE_WAYS = (
    'get it with `bash scripts/download_checkpoints.sh` (OpenMMLab zoo) or `bash scripts/pretrain_hrf.sh` (train it yourself), '
    'or start from random weights with `--init none`'
)


@dataclass(frozen=True)
class InitialWeights:
    """What a run started from, as its record tells it.

    Attributes:
        source: 'hrf-own', 'hrf-zoo' or 'other'.
        name: File name or URL, no local path.
        sha256: Digest of the file.
        loaded: Number of tensors of the state dict that were loaded.
        total: Number of tensors of the state dict.
    """

    source: str
    name: str
    sha256: str
    loaded: int
    total: int


def read_checkpoint(path: str | Path, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint without ever unpickling code.

    Args:
        path: A ``.safetensors`` file, or a torch file that holds tensors and plain values only.
        map_location: As in `torch.load`.

    Returns:
        A dict with at least ``state_dict`` (name to tensor), checked as `octfluid.engine.checkpoint_schema` says.

    Raises:
        InputError: No such file, a broken file, one that holds more than tensors and plain values, or a checkpoint of our own
            whose content is not what was written.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'no checkpoint at {path}; expected a .pth or .safetensors file')
    _refuse_web_page(path)
    try:
        if path.suffix == '.safetensors':
            tensors = load_file(path, device=str(map_location))
            check_tensors(tensors, str(path))
            return {'state_dict': tensors}
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # advice about foreign pickles, which are refused with one line below
            _check_archive(path)
            content = torch.load(path, map_location=map_location, weights_only=True)
    except InputError:
        raise
    except SafetensorError as error:
        raise InputError(f'{path}: not a whole safetensors file ({error}); fetch or write it again') from error
    except Exception as error:
        # A damaged file can make the reader fail in any way; which one says little to the user.
        unsafe = 'weights_only' in str(error)
        reason = (
            'is no checkpoint, or holds more than tensors and plain values, which could run code'
            if unsafe
            else 'is damaged or no checkpoint'
        )
        raise InputError(
            f'{path}: refused, it {reason}; expected tensors and plain values as train.py writes them: fetch or write it again'
        ) from error
    return checked_content(content, str(path))


def _refuse_web_page(path: Path) -> None:
    """Tell the error page of a server, saved under a checkpoint's name, from a damaged checkpoint."""
    with path.open('rb') as file:
        start = file.read(256).lstrip().lower()
    if start.startswith((b'<!doctype', b'<html', b'<?xml', b'<head')):
        raise InputError(f'{path}: is a web page, not a checkpoint; delete it and download the file again')


def _check_archive(path: Path) -> None:
    """Look at the ZIP around a checkpoint, which torch does not.

    A bit that has changed in the weights would go unnoticed; and torch never packs, but unpacks a few bytes to more than memory
    holds.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
            raise InputError(f'{path}: refused, it is compressed; expected a checkpoint as torch writes it')
        if (part := archive.testzip()) is not None:
            raise InputError(f'{path}: is damaged, the sum of its part {part!r} is wrong; fetch or write it again')


def load_weights(model: nn.Module, state_dict: Mapping[str, Any], name: str, reinit: Sequence[str] = ()) -> tuple[int, int]:
    """Load a state dict strictly.

    Args:
        model: Receives the tensors.
        state_dict: Name to tensor; a leading ``module.`` (from a distributed run) is dropped.
        name: What to call the source in an error.
        reinit: Prefixes of parameters that keep their random initialisation, such as ``'decode_head.conv_seg'``.

    Returns:
        (number of tensors loaded, number of tensors in the model).

    Raises:
        InputError: Any tensor outside ``reinit`` is missing, unexpected, of another shape or not finite; nothing has
            been loaded then.
    """
    given = {key.removeprefix('module.'): value for key, value in state_dict.items() if isinstance(value, torch.Tensor)}
    expected = model.state_dict()
    declared = tuple(prefix.rstrip('.') + '.' for prefix in reinit)
    given = {key: value for key, value in given.items() if not f'{key}.'.startswith(declared)} if declared else given
    wanted = {key for key in expected if not (declared and f'{key}.'.startswith(declared))}
    missing = sorted(wanted - given.keys())
    extra = sorted(given.keys() - wanted)
    misfits = sorted(key for key in wanted & given.keys() if given[key].shape != expected[key].shape)
    if missing or extra or misfits:
        details = [f'{len(keys)} {what} (first: {keys[0]})' for what, keys in
                   (('missing', missing), ('unexpected', extra), ('of another shape', misfits)) if keys]  # fmt: skip
        raise InputError(
            f'{name}: made for another architecture, of {len(expected)} tensors {", ".join(details)}; '
            'use the config it was trained with (when fine-tuning, heads to train anew can be named in `init.reinit`)'
        )
    if wrong := sorted(key for key in wanted if not _is_finite(given[key], expected[key].dtype)):
        raise InputError(f'{name}: {wrong[0]} holds NaN or infinite values; expected weights of a training that went well')
    model.load_state_dict({**expected, **given})
    return len(given), len(expected)


def _is_finite(tensor: torch.Tensor, dtype: torch.dtype) -> bool:
    """Tell whether a tensor's values are numbers, and remain so in the type that they will be in."""
    return bool(torch.isfinite(tensor).all()) and bool(torch.isfinite(tensor.to(dtype)).all())


def find_initial_weights(patterns: Sequence[str]) -> str:
    """Return the first file that matches one of ``patterns``, or the first URL among them.

    Raises:
        InputError: None exists; the message names the three ways on.
    """
    for pattern in patterns:
        if pattern.startswith(('http://', 'https://')):
            return pattern
        matches = sorted(glob.glob(pattern)) or ([pattern] if Path(pattern).is_file() else [])
        if len(matches) > 1:
            raise InputError(f'{len(matches)} files match {pattern} ({", ".join(matches)}); name one with --init')
        if matches:
            return matches[0]
    raise InputError(f'initial weights not found: {" or ".join(patterns)}; {THREE_WAYS}')


def load_initial_weights(model: nn.Module, files: Sequence[str], reinit: Sequence[str] = ()) -> InitialWeights:
    """Load what a config's ``init`` names into a model.

    Args:
        model: Receives the weights.
        files: Paths, patterns or URLs; the first that exists is taken. URLs are kept in torch's hub cache.
        reinit: Prefixes of parameters to train anew.

    Raises:
        InputError: Nothing found, not a safe checkpoint, or one that does not fit.
    """
    found = find_initial_weights(files)
    path = _fetch(found) if found.startswith(('http://', 'https://')) else Path(found)
    loaded, total = load_weights(model, read_checkpoint(path)['state_dict'], path.name, reinit)
    return describe_weights(path, loaded, total, name=found if '://' in found else path.name)


def describe_weights(path: Path, loaded: int, total: int, name: str | None = None) -> InitialWeights:
    """Describe loaded weights for the record; ``name`` defaults to the file's."""
    return InitialWeights(_source(path.name), name or path.name, file_sha256(path), loaded, total)


def _fetch(url: str) -> Path:
    """Download ``url`` once into torch's hub cache; a digest in the file name is checked, as torch.hub does."""
    # Files of one name from two places must not stand for each other, so each address has a folder of its own.
    folder = Path(torch.hub.get_dir()) / 'checkpoints' / hashlib.sha256(url.encode()).hexdigest()[:16]
    target = folder / Path(urlsplit(url).path).name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = torch.hub.HASH_REGEX.search(target.name)
        try:
            torch.hub.download_url_to_file(url, str(target), digest.group(1) if digest else None, progress=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f'{url}: could not be fetched ({error}); download it by hand and pass --init PATH') from error
    return target


def _source(name: str) -> str:
    if fnmatch.fnmatch(name, '*_40k_hrf_2020*.pth') or fnmatch.fnmatch(name, '*unet_s5-d16_*_zoo-????????.pth'):
        return 'hrf-zoo'
    return 'hrf-own' if fnmatch.fnmatch(name, '*unet_s5-d16_*_hrf-????????.pth') else 'other'


def find_own_checkpoints(work_dir: str | Path) -> list[Path]:
    """Return the ``iter_<n>.pth`` files of a work folder, the latest iteration first."""
    found = [path for path in Path(work_dir).glob('iter_*.pth') if OWN_CHECKPOINT.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.stem.removeprefix('iter_')), reverse=True)
