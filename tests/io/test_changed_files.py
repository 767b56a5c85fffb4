"""A few changed files of every kind; many more are read by `faults/test_fuzz.py`."""

import random
import warnings

import pytest

pytest.importorskip('eyepy')
pytest.importorskip('oct_converter')
pytest.importorskip('onnx')
from faults.mutations import change
from fuzz_targets import TARGETS

from octfluid.utils.errors import InputError


@pytest.fixture(scope='module')
def seeds(tmp_path_factory):
    """Good files of every kind, each in a folder with what belongs to it."""
    folders = {name: tmp_path_factory.mktemp(name) for name in TARGETS}
    return {name: (folders[name], target.seeds(folders[name])) for name, target in TARGETS.items()}


def outcome(target, path, content):
    """Return the `InputError` that reading a file ends in; None where it is read."""
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            target.read(path)
    except InputError as error:
        assert '\n' not in str(error) and str(path.parent) in str(error)
        return error
    return None


@pytest.mark.parametrize('name', TARGETS)
def test_good_files_are_read(name, seeds):
    folder, files = seeds[name]
    target = TARGETS[name]
    assert [outcome(target, folder / f'x{target.suffix}', target.pack(content)) for content in files] == [None] * len(files)


@pytest.mark.parametrize(('name', 'content'), [
    *((name, content) for name in TARGETS for content in (b'', b'a letter' * 400)),
    ('record', b'[' * 100_000), ('record', b'9' * 5000), ('heyex', b'<a>' * 10),
])  # fmt: skip
def test_what_is_no_such_file_is_one_line(name, content, tmp_path):
    assert outcome(TARGETS[name], tmp_path / f'x{TARGETS[name].suffix}', content) is not None


@pytest.mark.parametrize('name', TARGETS)
def test_a_changed_file_is_read_or_refused(name, seeds):
    (folder, files), target, rng = seeds[name], TARGETS[name], random.Random(name)
    contents = [target.pack(change(rng, files, target.words)) for _ in range(15)]
    found = [outcome(target, folder / f'x{target.suffix}', content) for content in contents]
    assert any(found), 'none is refused: the changes are too small'
