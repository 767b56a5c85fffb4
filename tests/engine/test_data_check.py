import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from octfluid.datasets.fluid_dataset import PhantomDataset
from octfluid.engine.config import load_config
from octfluid.engine.data_check import check_data
from octfluid.utils.cli import exit_status_of
from octfluid.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/smoke/phantom.py'


@pytest.fixture
def data(phantoms, tmp_path):
    """The phantoms, and beside their native masks such of half the size."""
    root = tmp_path / 'phantom'
    shutil.copytree(phantoms, root)
    (root / 'half/annotations').mkdir(parents=True)
    for path in (root / 'native/annotations').iterdir():
        with Image.open(path) as mask:
            Image.fromarray(np.asarray(mask)[::2, ::2]).save(root / 'half/annotations' / path.name)
    return root


@pytest.fixture
def options(data, tiny_options):
    return {**tiny_options, 'data_root': str(data), 'val_dataloader.dataset.truth_dir': 'half'}


@pytest.fixture
def check(options):
    def call(**changes):
        return check_data(load_config(CONFIG, {**options, **changes}))

    return call


@pytest.fixture
def scored(data):
    """Path of the first mask of half the size that the split scores."""
    return data / 'half/annotations' / f'{(data / "splits/heldout_val.txt").read_text().split()[0]}.png'


def test_masks_come_from_the_other_size_and_scans_do_not(data):
    init_default_scope('mmseg')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    arguments = dict(data_root=str(data), size_dir='native', split='heldout', subset='val', pipeline=pipeline)
    other, own = PhantomDataset(**arguments, truth_dir='half'), PhantomDataset(**arguments)
    assert (other.truth_dir, own.truth_dir) == ('half', 'native')
    for half, whole in zip(other, own, strict=True):
        assert np.array_equal(half['img'], whole['img']) and half['img'].shape[:2] == (64, 64)
        assert np.array_equal(half['gt_seg_map'], whole['gt_seg_map'][::2, ::2])
        assert Path(half['seg_map_path']).parent == data / 'half/annotations'
    assert any(sample['gt_seg_map'].any() for sample in other)


def test_two_sizes_are_sound_together(check):
    report = check()
    assert report.problems == [] and set(report.subsets) == {'train', 'val'}


def test_a_missing_mask_of_the_other_size_is_found(check, scored):
    scored.unlink()
    assert check().problems == [f'{scored}: no such mask; make the data set again']
    assert check(**{'val_dataloader.dataset.truth_dir': None}).problems == []


def test_wrong_values_in_a_mask_of_the_other_size_are_found(check, scored):
    Image.new('L', (32, 32), 255).save(scored)
    (problem,) = check().problems
    assert problem.startswith(f'{scored}: holds the values 255; expected 0..1')


def test_only_masks_that_are_scored_are_asked_of_the_other_size(check, data):
    for name in (data / 'splits/heldout_train.txt').read_text().split():
        (data / f'half/annotations/{name}.png').unlink()
    assert check().problems == []


def test_problems_of_both_sizes_are_told(check, data, scored):
    scored.unlink()
    (data / 'native/annotations' / scored.name).unlink()
    found = check().problems
    assert any(f'native/images/{scored.name}: no mask' in problem for problem in found)
    assert found[-1] == f'{scored}: no such mask; make the data set again'


def test_a_missing_size_is_one_line(check):
    with pytest.raises(InputError, match=r'third/annotations: no such folder; truth_dir names the size of the masks') as caught:
        check(**{'val_dataloader.dataset.truth_dir': 'third'})
    assert '\n' not in str(caught.value)


@pytest.fixture
def tool(options, monkeypatch, capfd):
    """Run the tool in this process; returns status, stdout and stderr."""

    def call():
        settings = [f'{key}={value}' for key, value in options.items() if isinstance(value, (str, int, tuple))]
        settings = [setting.replace(' ', '') for setting in settings]
        monkeypatch.setattr(sys, 'argv', ['check_dataset.py', str(CONFIG), '--cfg-options', *settings])
        status = exit_status_of(runpy.run_path(str(ROOT / 'tools/check_dataset.py'))['main'])
        return status, *capfd.readouterr()

    return call


def test_the_tool_shows_what_is_wrong_with_the_masks_that_are_scored_against(tool, scored):
    assert tool()[0] == 0
    scored.unlink()
    status, _, stderr = tool()
    assert status == 2
    lines = stderr.splitlines()
    assert lines[0] == f'{scored}: no such mask; make the data set again'
    assert lines[1].startswith('error: 1 problem in ') and len(lines) == 2


def test_the_tool_names_a_missing_size(tool, data):
    shutil.rmtree(data / 'half')
    status, _, stderr = tool()
    assert status == 2 and len(stderr.splitlines()) == 1
    assert 'half/annotations: no such folder' in stderr
