"""What would go wrong without a word is told by the real command, before or while it trains."""

import shutil
import signal
import time

import numpy as np
import pytest
from faults.ledger import budget, note
from faults.training_runs import CONFIG, TOOL, arguments
from octfluid.engine.interrupted import find_marks
from PIL import Image

from octfluid.records.record import read_records

COMMAND = 'python -m pytest tests -m faults -k test_silent'


class Data:
    """A copy of the phantoms that can be spoiled, and trainings on it."""

    def __init__(self, warm, phantoms, folder, tiny_options):
        self.warm, self.root, self.run = warm, folder / 'data', folder / 'run'
        shutil.copytree(phantoms, self.root)
        self.options = {**tiny_options, 'data_root': str(self.root)}

    def names(self, side):
        return (self.root / f'splits/heldout_{side}.txt').read_text().split()

    def path(self, name, kind='images'):
        return self.root / f'native/{kind}/{name}.png'

    def change(self, name, change, kind='images'):
        pixels = np.asarray(Image.open(self.path(name, kind)))
        Image.fromarray(np.asarray(change(pixels)).astype(np.uint8)).save(self.path(name, kind))

    def list(self, split, train, val):
        for side, names in (('train', train), ('val', val)):
            (self.root / f'splits/{split}_{side}.txt').write_text(''.join(f'{name}\n' for name in names))

    def start(self, *given, **options):
        changed = {'train_dataloader.num_workers': 0, 'train_cfg.max_iters': 4, 'train_cfg.val_interval': 4, **options}
        settings = [f'{key}={value}' for key, value in changed.items()]
        return self.warm.start(TOOL, CONFIG, '--work-dir', self.run, *given, *arguments(self.options), *settings)

    def train(self, *given, **options):
        running = self.start(*given, **options)
        return running.wait(), running.said


def empty_masks(data):
    for name in data.names('train'):
        data.change(name, np.zeros_like, 'annotations')
    return data.train(), 2, 'has a pixel of fluid; a model would learn to predict background everywhere'


def no_background(data):
    for name in data.names('train'):
        data.change(name, np.ones_like, 'annotations')
    return data.train(), 2, 'has a pixel of class 0 (background); a model cannot learn it'


def empty_validation_masks(data):
    for name in data.names('val'):
        data.change(name, np.zeros_like, 'annotations')
    return data.train(), 0, 'whose scores say nothing'


def picture_under_another_name(data):
    shutil.copy(data.path(data.names('train')[2]), data.path(data.names('val')[1]))
    return data.train(), 2, f"'{data.names('val')[1]}' in heldout_val.txt is pixel by pixel '{data.names('train')[2]}'"


def brighter_copy(data):
    copied = np.asarray(Image.open(data.path(data.names('train')[0])))
    data.change(data.names('val')[0], lambda _: np.clip(copied * 1.1 + 5, 0, 255))
    return data.train(), 0, f'look like copies of training scans: {data.names("val")[0]} and {data.names("train")[0]}'


def subject_in_a_subject_split(data):
    names = data.names('train')
    data.list('subject01', names[1:], names[:1])
    return data.train('--split', 'subject01'), 2, 'expected each subject of split'


def subject_in_the_papers_split(data):
    names = data.names('train')
    data.list('paper', names[1:], names[:1])
    return data.train('--split', 'paper'), 0, 'subjects have scans on both sides'


def resumed_on_other_data(data):
    assert data.train()[0] == 0
    data.change(data.names('train')[0], lambda pixels: pixels ^ 1)
    return data.train('--resume', **{'train_cfg.max_iters': 6}), 2, 'are not those of the last run'


def begun_anew_on_other_data(data):
    assert data.train()[0] == 0
    data.change(data.names('train')[0], lambda pixels: pixels ^ 1)
    return data.train(), 0, 'are not those of the last run'


def loss_that_is_no_number(data):
    status, said = data.train(**{'optim_wrapper.optimizer.lr': 1e30})
    assert f'{data.root}/native/images/s0' in said and not read_records([data.run])
    return (status, said), 1, 'the loss is nan at iteration'


def cut_checkpoint(data):
    assert data.train()[0] == 0
    for path in data.run.glob('train_*'):
        path.unlink()
    last = data.run / 'iter_4.pth'
    last.write_bytes(last.read_bytes()[:-100])
    return data.train('--resume'), 0, 'taking the checkpoint before it'


def two_processes(data):
    first = data.start(**{'train_cfg.max_iters': 100000, 'train_cfg.val_interval': 100000})
    deadline = time.monotonic() + 120
    while not list(data.run.glob('iter_*.pth')):
        assert time.monotonic() < deadline and first.wait(0.05) is None, first.said
    second = data.train('--resume')
    first.signal(signal.SIGTERM)
    assert first.wait() == 143 and len(find_marks([data.run])) == 1
    return second, 2, 'another process is at work here'


CASES = [
    empty_masks, no_background, empty_validation_masks, picture_under_another_name, brighter_copy, subject_in_a_subject_split,
    subject_in_the_papers_split, resumed_on_other_data, begun_anew_on_other_data, loss_that_is_no_number, cut_checkpoint,
    two_processes,
]  # fmt: skip


@pytest.mark.parametrize('case', budget(CASES, CASES[-4:]), ids=lambda case: case.__name__)
def test_silent_wrongs_are_told(warm, phantoms, tiny_options, tmp_path, case):
    (status, said), expected, words = case(Data(warm, phantoms, tmp_path, tiny_options))
    held = status == expected and words in said and (status == 0 or 'Traceback' not in said)
    note('silent', case.__name__.replace('_', ' '), 1, int(held), COMMAND, status=expected)
    assert held, (status, said)
