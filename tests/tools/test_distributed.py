"""Two processes on a CPU (gloo): the launch works, every scan is scored once, and one record is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from octfluid.datasets.prepare.phantom import write_phantom_dataset
from octfluid.records.record import read_records
from octfluid.visualization.gallery import choose, picture_name

ROOT = Path(__file__).parents[2]


# Statistics of a batch and dropout would be those of each process, and Adam enlarges what rounding leaves.
GROUP_NORM = """
_base_ = '{base}'
norm_cfg = dict(type='GN', num_groups=4, requires_grad=True)
head = dict(norm_cfg=dict(_delete_=True, **norm_cfg), dropout_ratio=0)
model = dict(backbone=dict(norm_cfg=dict(_delete_=True, **norm_cfg)), decode_head=head, auxiliary_head=head)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9))
"""


def test_two_processes_train_as_one_with_the_same_batch(tmp_path):
    write_phantom_dataset(tmp_path / 'phantom', subjects=3, slices=3, height=64, width=64)
    config = tmp_path / 'group_norm.py'
    config.write_text(GROUP_NORM.format(base=ROOT / 'configs/smoke/phantom.py'))
    options = [
        f'data_root={tmp_path / "phantom"}', 'train_cfg.max_iters=12',
        'train_dataloader.dataset.scan_size=(64,64)', 'val_dataloader.dataset.scan_size=(64,64)',
        'train_dataloader.dataset.pipeline.2.crop_size=(48,48)',
        'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
    ]  # fmt: skip
    losses = []
    for processes, command in (
        (1, [sys.executable, 'tools/train.py', config]),
        (2, ['bash', 'tools/dist_train.sh', config, '2']),
    ):
        folder = tmp_path / f'{processes}'
        command += ['--work-dir', folder, '--cfg-options', *options, f'train_dataloader.batch_size={4 // processes}']
        environment = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'PYTHON': sys.executable}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        ((_, record),) = read_records([folder])
        losses.append([point['loss'] for point in record['history']])
    assert len(losses[0]) == 2 and losses[0][0] - losses[0][1] > 0.01, 'nothing was learned'
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.parametrize('arguments', [[], ['configs/smoke/phantom.py'], ['configs/smoke/phantom.py', '--amp'],
                                       ['configs/smoke/phantom.py', '0']])  # fmt: skip
def test_number_of_processes_is_asked_for(arguments):
    done = subprocess.run(['bash', ROOT / 'tools/dist_train.sh', *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (2, '', 1)
    assert 'expected CONFIG and a number of processes' in done.stderr


def test_a_config_that_is_missing_is_one_line():
    done = subprocess.run(['bash', ROOT / 'tools/dist_train.sh', 'nosuch.py', '2'], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == 'error: no config file at nosuch.py; expected a Python config\n'


def test_two_processes(tmp_path):
    write_phantom_dataset(tmp_path / 'phantom', subjects=3, slices=3, height=64, width=64)
    options = [
        f'data_root={tmp_path / "phantom"}', 'train_cfg.max_iters=3', 'train_dataloader.batch_size=2',
        'train_dataloader.dataset.scan_size=(64,64)', 'val_dataloader.dataset.scan_size=(64,64)',
        'train_dataloader.dataset.pipeline.2.crop_size=(48,48)',
        'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2', 'tools/train.py',
         'configs/smoke/phantom.py', '--launcher', 'pytorch', '--work-dir', tmp_path / 'work', '--cfg-options', *options],
        cwd=ROOT, env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    ((path, record),) = read_records([tmp_path / 'work'])
    assert record['variant'] == '2processes'  # its batch is twice the config's, so it must not pass for the config's run
    assert record['iterations'] == 3 and len(record['history']) == 1
    assert [image['name'] for image in record['images']] == ['s03_z00', 's03_z01', 's03_z02']
    assert all(image['tp'] + image['fp'] + image['fn'] + image['tn'] == 64 * 64 for image in record['images'])
    shown = {picture_name(path.stem, name) for name in choose(record['images']).values()}
    assert {picture.name for picture in path.parent.glob('*.png')} == shown
    assert len(shown) > 1
    # Only the first process speaks, and its batch is that of both.
    assert done.stderr.count('training to iteration 3, batch 4') + done.stdout.count('training to iteration 3, batch 4') == 1


def test_two_processes_score_as_one(tmp_path):
    write_phantom_dataset(tmp_path / 'phantom', subjects=3, slices=3, height=64, width=64)
    config = 'configs/smoke/phantom.py'
    options = [
        '--cfg-options', f'data_root={tmp_path / "phantom"}', 'train_cfg.max_iters=3', 'train_dataloader.batch_size=2',
        'train_dataloader.dataset.scan_size=(64,64)', 'val_dataloader.dataset.scan_size=(64,64)',
        'train_dataloader.dataset.pipeline.2.crop_size=(48,48)',
        'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
    ]  # fmt: skip
    checkpoint = tmp_path / 'train' / 'iter_3.pth'
    found = []
    for name, command in (
        ('train', [sys.executable, 'tools/train.py', config, '--work-dir', tmp_path / 'train']),
        ('one', [sys.executable, 'tools/test.py', config, checkpoint, '--out', tmp_path / 'one']),
        ('two', ['bash', 'tools/dist_test.sh', config, checkpoint, '2', '--out', tmp_path / 'two']),
    ):
        environment = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'PYTHON': sys.executable}
        done = subprocess.run(command + options, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count('record: ') == 1, name
        ((_, record),) = read_records([tmp_path / name])
        found.append(record)
    assert [image['name'] for image in found[2]['images']] == ['s03_z00', 's03_z01', 's03_z02']
    assert found[2]['images'] == found[1]['images']
    assert found[2]['metrics'] == found[1]['metrics'] and found[2]['variant'] == found[1]['variant'] == ''


@pytest.mark.parametrize('arguments', [[], ['configs/smoke/phantom.py', 'README.md'],
                                       ['configs/smoke/phantom.py', 'README.md', 'two']])  # fmt: skip
def test_number_of_scoring_processes_is_asked_for(arguments):
    done = subprocess.run(['bash', ROOT / 'tools/dist_test.sh', *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (2, '', 1)
    assert 'expected CONFIG, CHECKPOINT and a number of processes' in done.stderr


def test_a_checkpoint_that_is_missing_is_one_line():
    command = ['bash', ROOT / 'tools/dist_test.sh', 'configs/smoke/phantom.py', 'nosuch.pth', '2']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == 'error: no file at nosuch.pth; expected a Python config and a checkpoint\n'
