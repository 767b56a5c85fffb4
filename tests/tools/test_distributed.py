"""Two processes on a CPU (gloo): the launch works, every scan is scored once, and one record is written."""

import os
import subprocess
import sys
from pathlib import Path

from octfluid.datasets.phantom_prepare import write_phantom_dataset
from octfluid.engine.record import read_records
from octfluid.evaluation.gallery import choose, picture_name

ROOT = Path(__file__).parents[2]


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
