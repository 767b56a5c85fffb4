"""Two processes on a CPU (gloo): the launch works, every scan is scored once, and one record is written."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from octfluid.datasets.prepare.phantom import write_phantom_dataset
from octfluid.records.record import read_records

ROOT = Path(__file__).parents[2]
CONFIG = 'configs/smoke/phantom.py'

# Statistics of a batch and dropout would be those of each process, and Adam enlarges what rounding leaves.
GROUP_NORM = """
_base_ = '{base}'
norm_cfg = dict(type='GN', num_groups=4, requires_grad=True)
head = dict(norm_cfg=dict(_delete_=True, **norm_cfg), dropout_ratio=0)
model = dict(backbone=dict(norm_cfg=dict(_delete_=True, **norm_cfg)), decode_head=head, auxiliary_head=head)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9))
"""


@pytest.fixture
def options(tmp_path):
    write_phantom_dataset(tmp_path / 'phantom', subjects=3, slices=3, height=64, width=64)
    return [
        '--cfg-options', f'data_root={tmp_path / "phantom"}',
        'train_dataloader.dataset.scan_size=(64,64)', 'val_dataloader.dataset.scan_size=(64,64)',
        'train_dataloader.dataset.pipeline.2.crop_size=(48,48)',
        'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_same_batch_and_score_every_scan_once(tmp_path, options, python):
    config, found = tmp_path / 'group_norm.py', []
    environment = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'PYTHON': str(python)}
    config.write_text(GROUP_NORM.format(base=ROOT / CONFIG))
    for name, batch, command in (
        ('one', 4, [python, 'tools/train.py', config, '--work-dir', tmp_path / 'one']),
        ('two', 2, ['bash', 'tools/dist_train.sh', config, 2, '--work-dir', tmp_path / 'two']),
        ('test', 2, ['bash', 'tools/dist_test.sh', config, tmp_path / 'two/iter_12.pth', 2, '--out', tmp_path / 'test']),
    ):
        command = [*map(str, command), *options, 'train_cfg.max_iters=12', f'train_dataloader.batch_size={batch}']
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        ((_, record),) = read_records([tmp_path / name])
        found.append(record)
    losses = [[point['loss'] for point in record['history']] for record in found[:2]]
    assert len(losses[0]) == 2 and losses[0][0] - losses[0][1] > 0.01, 'nothing was learned'
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    # The batch of the training is twice that of its config, so it must not pass for the config's run.
    assert [record['variant'] for record in found] == ['', '2processes', '']
    assert [image['name'] for image in found[2]['images']] == ['s03_z00', 's03_z01', 's03_z02']
    assert (found[2]['images'], found[2]['metrics']) == (found[1]['images'], found[1]['metrics'])


@pytest.mark.slow
def test_variables_of_mpi_give_one_run(tmp_path, options, python):
    """Those of Slurm differ in their names only, which `tests/utils/test_tooling.py` has."""
    call = [python, 'tools/train.py', CONFIG, '--launcher', 'mpi', '--work-dir', tmp_path / 'run', *options]
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    names = ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE')
    common = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port}
    processes = [
        subprocess.Popen(
            [*map(str, call), 'train_cfg.max_iters=2'], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=common | dict(zip(names, (rank, rank, '2'), strict=True)),
        )
        for rank in '01'
    ]  # fmt: skip
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    ((_, record),) = read_records([tmp_path / 'run'])
    assert record['variant'] == '2processes' and not outputs[1][0]
    assert 'destroy_process_group' not in outputs[0][1] + outputs[1][1], 'torch warns of a group that is left'
