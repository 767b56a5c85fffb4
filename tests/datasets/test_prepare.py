"""What holds for every converter: its result is whole or not there, and it deletes nothing that it did not make."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_data import contents, write_subject

from octfluid.datasets.prepare import duke_dme, folder, hrf, phantom
from octfluid.utils.errors import InputError


@pytest.fixture(params=['duke_dme', 'hrf', 'folder', 'phantom'])
def convert(request, tmp_path, write_hrf):
    """A conversion of small input, as a function of the folder to make."""
    raw = tmp_path / 'raw'
    if request.param == 'duke_dme':
        write_subject(raw, 1)
        return lambda out: duke_dme.prepare(raw, out, allow_missing=True)
    if request.param == 'hrf':
        write_hrf(raw)
        return lambda out: hrf.prepare(raw, out)
    if request.param == 'phantom':
        raw.mkdir()
        return lambda out: phantom.write_phantom_dataset(out, subjects=2, slices=1, height=64, width=80)
    for kind in ('images', 'masks'):
        (raw / kind).mkdir(parents=True)
        for patient in 'abc':
            Image.fromarray(np.eye(40, dtype=np.uint8)).save(raw / kind / f'{patient}.png')
    return lambda out: folder.prepare_folder(raw / 'images', raw / 'masks', out, '(.+)', folds=True)


def test_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path, convert):
    out = tmp_path / 'made/out'
    convert(out)
    first = contents(out)
    convert(out)
    assert contents(out) == first
    assert os.listdir(out.parent) == ['out']


@pytest.mark.parametrize('failure', [KeyboardInterrupt, OSError(errno.ENOSPC, 'No space left on device')])
def test_a_failure_leaves_the_earlier_conversion_alone(tmp_path, convert, monkeypatch, failure):
    out = tmp_path / 'out'
    convert(out)
    before = contents(out)

    def fail(self, data):
        raise failure

    monkeypatch.setattr(Path, 'write_bytes', fail)
    with pytest.raises(type(failure) if isinstance(failure, OSError) else failure):
        convert(out)
    assert contents(out) == before
    assert sorted(os.listdir(tmp_path)) == ['out', 'raw']


@pytest.mark.parametrize('mine', [
    'notes.txt', 'splits/mine_train.txt', 'native/images/mine.png', 'native/annotations/.keep', 'small/images/{name}.png',
])  # fmt: skip
def test_a_users_file_in_an_earlier_conversion_is_not_deleted(tmp_path, convert, mine):
    out = tmp_path / 'out'
    convert(out)
    # The last is named like a converted scan, at a size that the converter does not write.
    path = out / mine.format(name=next((out / 'native/annotations').iterdir()).stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('mine')
    before = contents(out)
    with pytest.raises(InputError, match=path.name):
        convert(out)
    assert contents(out) == before
