"""Telling whether the data of a work folder are those that its last run saw."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from octfluid.datasets.integrity import KINDS, SUFFIX
from octfluid.datasets.splits import SUBSETS, read_split
from octfluid.engine.config import dataset_spec
from octfluid.records.origin import ALL
from octfluid.records.record import file_sha256
from octfluid.utils.atomic import write_json
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json

FILE = 'data.json'
SCHEMA = 'octfluid.data/1'


def data_state(cfg: Config) -> dict[str, Any]:
    """Take the digests of all that a resolved config trains on and is scored on.

    Args:
        cfg: From `octfluid.engine.config.load_config`; its data are sound.

    Returns:
        ``schema``, ``split``, ``sizes`` (folders of images and of the masks scored against) and ``files``: digests of image
        and mask by ``<subset>/<name>``.
    """
    spec = dataset_spec(cfg)
    root, files = Path(spec.root), {}
    for subset in SUBSETS if spec.split != ALL else SUBSETS[:1]:
        masks = spec.truth_dir if subset == 'val' else spec.size_dir
        folders = dict(zip(KINDS, (root / spec.size_dir / KINDS[0], root / masks / KINDS[1]), strict=True))
        for name in read_split(root, spec.split, subset):
            image, mask = folders['images'] / f'{name}{spec.image_suffix}', folders['annotations'] / f'{name}{SUFFIX}'
            files[f'{subset}/{name}'] = [file_sha256(image), file_sha256(mask)]
    return dict(schema=SCHEMA, split=spec.split, sizes=[spec.size_dir, spec.truth_dir], files=files)


def digest(state: Mapping[str, Any]) -> str:
    """Return one digest of a `data_state`."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def changes(work_dir: str | os.PathLike, state: Mapping[str, Any]) -> str | None:
    """Say what has changed since the last run in a work folder.

    Returns:
        One line, also if that cannot be told; None if nothing has, if there was no run, or one on another split or size.
    """
    path, now = Path(work_dir) / FILE, state['files']
    if not path.exists():
        return None
    try:
        earlier = read_json(path)
        if any(earlier[key] != state[key] for key in ('schema', 'split', 'sizes')):
            return None
        before = earlier['files']
        other = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    except (InputError, KeyError, TypeError, AttributeError):
        return f'{path} is damaged, so that it cannot be told whether the scans are those of the last run'
    if not other:
        return None
    return f'{len(other)} of {len(now)} scans are not those of the last run in {work_dir} (the first: {other[0]})'


def write_state(work_dir: str | os.PathLike, state: Mapping[str, Any]) -> None:
    """Note what the run that begins is about to see."""
    write_json(Path(work_dir) / FILE, state)
