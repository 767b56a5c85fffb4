"""What a call of the command notes of itself, and how it deals with what earlier calls left in its folder."""

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import octfluid
from octfluid.io.results import MANIFEST, SCHEMA, UNFINISHED
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json

if TYPE_CHECKING:
    from octfluid.inference.predictor import Predictor
    from octfluid.io.readers import Input

TABLE, MEASUREMENTS = 'measurements.csv', 'measurements.json'
WRITTEN = (TABLE, MEASUREMENTS, MANIFEST, UNFINISHED)


def manifest_of(predictor: 'Predictor', given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest without inputs.

    Args:
        predictor: Whose model is used.
        given: Settings, as far as they are given.
    """
    info = predictor.model.info
    packages = ('numpy', 'opencv-python', 'onnxruntime', 'Pillow', 'scipy')
    return dict(
        schema=SCHEMA,
        octfluid=octfluid.__version__,
        model=dict(file=predictor.model.path.name, sha256=sha256_of(predictor.model.path), weights_sha256=info.weights_sha256),
        settings=dict(given, threshold=given.get('threshold') or info.threshold),
        versions=dict(python=platform.python_version(), **{name: metadata.version(name) for name in packages}),
        inputs=[],
    )


def refuse_old_results(out: Path, inputs: Sequence['Input'], overwrite: bool) -> None:
    """Refuse to write over results, but for those of a call that was cut short or in which nothing could be done.

    With ``overwrite``, remove what the earlier call wrote, lest results of two scans lie side by side.
    """
    earlier = _earlier_files(out / MANIFEST)
    if overwrite or earlier == []:
        listed = [out / name for name in (*(earlier or ()), MANIFEST, MEASUREMENTS, TABLE)]
        removed = [path for path in listed if path.resolve().is_relative_to(out.resolve()) and not path.is_dir()]
        places = {path.resolve() for path in removed}
        if own := next((one.path for one in inputs if one.path.resolve() in places), None):
            raise InputError(f'{own}: a result of the earlier call, which --overwrite removes; choose another --out')
        for path in removed:
            path.unlink(missing_ok=True)
        for folder in {(out / name).parent for name in earlier or ()} - {out}:
            with suppress(OSError):  # somebody's own files are in it, or it lies elsewhere and is not there
                if folder.resolve().is_relative_to(out.resolve()):
                    folder.rmdir()
        return
    if (out / UNFINISHED).exists():
        return
    wanted = [out / name for name in (MANIFEST, MEASUREMENTS, TABLE)]
    for one in inputs:
        wanted += [out / f'{one.name}_mask.png', out / one.name / f'{Path(one.name).name}_mask.nii.gz']
    there = next((path for path in wanted if path.exists()), None)
    if there is not None:
        raise InputError(f'{there}: is there already; choose another --out, or --overwrite to replace it')


def refuse_another_call(out: Path, begun: Mapping[str, Any], overwrite: bool) -> None:
    """Refuse to go on where another call was cut short: its results would lie among those of this one."""
    path = out / UNFINISHED
    if overwrite or not path.exists():
        return
    try:
        earlier = read_json(path)
    except InputError:
        earlier = {}
    earlier = earlier if isinstance(earlier, dict) else {}
    if any(earlier.get(key) != begun[key] for key in ('names', 'settings', 'model')):
        raise InputError(f'{path}: another call was cut short here; repeat that one, choose another --out, or --overwrite')


def _earlier_files(manifest: Path) -> list[str] | None:
    """Return the files that an earlier call says it wrote; None if there is no manifest of one."""
    try:
        content = read_json(manifest)
        names = [name for one in content['inputs'] for name in one['outputs']] if content['schema'] == SCHEMA else None
    except (InputError, KeyError, TypeError):
        return None
    return names if names is None or all(isinstance(name, str) and name.isprintable() for name in names) else None


def sha256_of(path: Path) -> str:
    """Digest of a file or, over names and bytes, of the files of a folder."""
    digest = hashlib.sha256()
    if path.is_file():
        with open(path, 'rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    for part in sorted(part for part in path.iterdir() if part.is_file()):
        digest.update(os.fsencode(part.name) + b'\0')
        with open(part, 'rb') as file:
            while piece := file.read(1 << 20):  # what lies beside the scans may be large
                digest.update(piece)
    return digest.hexdigest()
