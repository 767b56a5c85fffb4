"""A full disk, and one that cannot be written to: one clear line, and what was there is intact."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import scipy.io
from faults.crash import broken, contents, hidden
from faults.ledger import budget, note
from faults.training_runs import CONFIG, TOOL, arguments
from PIL import Image

from octfluid.datasets.phantoms import make_phantom

COMMAND = 'python -m pytest tests -m faults -k '
CONVERT, PREDICT = 'tools/dataset_converters/duke_dme.py', 'tools/predict.py'


class Disk:
    """A small file system in memory."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.mounted = (
            subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder], capture_output=True).returncode == 0
        )

    def fill(self, leave):
        """Fill it but for some KiB."""
        space = os.statvfs(self.folder)
        (self.folder / 'filler').write_bytes(bytes(space.f_bavail * space.f_frsize - leave * 1024))

    def empty(self):
        (self.folder / 'filler').unlink()

    def read_only(self, on=True):
        subprocess.run(['mount', '-o', f'remount,{"ro" if on else "rw"}', self.folder], check=True)

    def close(self):
        if self.mounted:
            subprocess.run(['umount', self.folder], check=True)


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip('a file system can be mounted by root only')
    made = Disk(tmp_path / 'disk')
    if not made.mounted:
        pytest.skip('no file system can be mounted here')
    yield made
    made.close()


@pytest.fixture
def train(warm, tiny_options, disk):
    given = ['--work-dir', disk.folder / 'run', '--resume', *arguments(tiny_options), 'train_dataloader.num_workers=0']

    def call(iterations):
        return warm.done(TOOL, CONFIG, *given, f'train_cfg.max_iters={iterations}')

    return call


@pytest.fixture
def predict(warm, disk, tmp_path):
    (tmp_path / 'in').mkdir()
    for seed in range(3):
        Image.fromarray(make_phantom(seed, 96, 128, fluid=True)[0]).save(tmp_path / f'in/b{seed}.png')
    return lambda: warm.done(PREDICT, tmp_path / 'in', '--out', disk.folder / 'out', '--save-prob')


@pytest.fixture
def convert(warm, disk, tmp_path):
    (tmp_path / 'raw').mkdir()
    images = np.random.default_rng(0).integers(0, 256, (60, 90, 2), dtype=np.uint8)
    for number in range(1, 11):
        fluid = np.zeros(images.shape)
        fluid[number : 2 * number, 5:20] = 1
        scipy.io.savemat(tmp_path / f'raw/Subject_{number:02d}.mat', {'images': images, 'manualFluid1': fluid})
    return lambda: warm.done(CONVERT, tmp_path / 'raw', '--out', disk.folder / 'out')


def told(running, *words):
    """Return the one line that says why a tool failed, which holds all of the words."""
    lines = [line for line in running.said.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1 and 'Traceback' not in running.said, running.said
    assert all(word in lines[0] for word in words), lines
    return lines[0]


@pytest.mark.parametrize('leave', budget([4, 40], [40]))
def test_training_on_a_full_disk(train, disk, leave):
    assert train(3)[1] == 0
    before = (disk.folder / 'run/iter_3.pth').read_bytes()
    disk.fill(leave)
    running, status = train(12)
    assert status == 1 and told(running, 'No space left on device')
    assert (disk.folder / 'run/iter_3.pth').read_bytes() == before
    assert broken(disk.folder / 'run') is None and not [name for name in hidden(disk.folder) if name.endswith('.pth')]
    disk.empty()
    running, status = train(12)
    assert status == 0 and 'training from iteration 3 to iteration 12' in running.said
    note('crash', f'full disk during training, {leave} KiB left', 1, 1, f'{COMMAND}training_on_a_full_disk')


def test_prediction_on_a_full_disk(predict, disk):
    disk.fill(60)
    running, status = predict()
    assert status == 1 and told(running, 'No space left on device')
    assert broken(disk.folder / 'out') is None and hidden(disk.folder) == []
    assert not (disk.folder / 'out/manifest.json').exists()
    disk.empty()
    running, status = predict()
    assert status == 0 and '3 of 3 inputs done' in running.said
    note('crash', 'full disk during prediction', 1, 1, f'{COMMAND}prediction_on_a_full_disk')


def test_conversion_on_a_full_disk(convert, disk):
    assert convert()[1] == 0
    before = contents(disk.folder / 'out')
    disk.fill(100)
    running, status = convert()
    assert status == 1 and told(running, 'No space left on device')
    assert contents(disk.folder / 'out') == before and hidden(disk.folder) == []
    disk.empty()
    assert convert()[1] == 0 and contents(disk.folder / 'out') == before
    note('crash', 'full disk during conversion', 1, 1, f'{COMMAND}conversion_on_a_full_disk')


@pytest.mark.parametrize(('tool', 'kept'), [('train', 'run'), ('predict', 'out'), ('convert', 'out')])
def test_a_disk_that_cannot_be_written_to(request, disk, tool, kept):
    """Refused before any work, whether there is an earlier result or not."""
    run = request.getfixturevalue(tool)
    call = (lambda: run(3)) if tool == 'train' else run
    disk.read_only()
    running, status = call()
    first = status in (1, 2) and told(running, str(disk.folder))
    disk.read_only(False)
    assert first and list(disk.folder.iterdir()) == []
    assert call()[1] == 0
    before = contents(disk.folder / kept)
    disk.read_only()
    running, status = call()
    again = status in (1, 2) and told(running, str(disk.folder))
    disk.read_only(False)
    assert again and contents(disk.folder / kept) == before
    shutil.rmtree(disk.folder / kept)
    note('crash', f'read-only output: {tool}', 2, 2, f'{COMMAND}cannot_be_written_to')
