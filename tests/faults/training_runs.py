"""Trainings of a tiny network to be interrupted, and whether two of them came to the same."""

import shutil

import torch
from faults.crash import broken, hidden

from octfluid.engine.checkpoint import find_own_checkpoints, read_checkpoint
from octfluid.records.record import read_records

TOOL, CONFIG = 'tools/train.py', 'configs/smoke/phantom.py'
ITERATIONS = 24
MAY_DIFFER = ('wall_seconds', 'images_per_second', 'peak_memory_bytes', 'checkpoint_sha256')
"""Fields of a record that two equal runs do not share: times, and the digest of a file that holds times."""


def arguments(tiny_options):
    """What the trainings are given after the config, but for the work folder: two workers, frequent checkpoints."""
    options = {
        **{key: value for key, value in tiny_options.items() if key != 'visualizer.vis_backends'},
        'train_dataloader.num_workers': 2,
        'train_cfg.max_iters': ITERATIONS,
        'train_cfg.val_interval': 10,
        'default_hooks.checkpoint.interval': 3,
    }
    return ['--cfg-options', *(f'{key}={value}'.replace(' ', '') for key, value in options.items())]


class Trainings:
    """Trains in a work folder, and knows what an undisturbed training comes to."""

    def __init__(self, warm, folder, given):
        self.warm, self.folder, self.given = warm, folder / 'run', given
        running, status = warm.done(TOOL, CONFIG, '--work-dir', folder / 'whole', *given)
        assert status == 0, running.said
        self.seconds = running.seconds
        self.weights, self.optimizer, self.record = self.result(folder / 'whole')

    def start(self):
        """Start or resume."""
        return self.warm.start(TOOL, CONFIG, '--work-dir', self.folder, '--resume', *self.given)

    def wait_for_checkpoint(self, running):
        """Wait until another checkpoint is written; return the status of a training that ends before, else None."""
        before = set(find_own_checkpoints(self.folder))
        while not set(find_own_checkpoints(self.folder)) - before:
            if (status := running.wait(0.02)) is not None:
                return status
        return None

    def look(self):
        """Return what is wrong after a kill: a file that is not whole, or a record of what is not finished."""
        records = read_records([self.folder]) if self.folder.exists() else []
        if records and not (self.folder / f'iter_{ITERATIONS}.pth').exists():
            return 'a record, but not the last weights'
        return broken(self.folder) if self.folder.exists() else None

    def finish(self, running, status):
        """Return what is wrong at the end; an equal training leaves nothing behind."""
        wrong = f'status {status}' if status else self.difference()
        shutil.rmtree(self.folder, ignore_errors=True)
        return wrong

    def difference(self):
        """Return what is not as after the undisturbed training, None if all is."""
        weights, optimizer, record = self.result(self.folder)
        if not identical(weights, self.weights):
            return 'other weights'
        if not identical(optimizer, self.optimizer):
            return 'another state of the optimizer'
        if record != self.record:
            return f'another record: {[key for key in record if record[key] != self.record.get(key)]}'
        return f'left behind: {hidden(self.folder)}' if hidden(self.folder) else None

    @staticmethod
    def result(folder):
        """Return the last weights, the optimizer's state and the record of a training."""
        checkpoint = read_checkpoint(find_own_checkpoints(folder)[0])
        ((_, record),) = read_records([folder])
        kept = {key: value for key, value in record.items() if key not in MAY_DIFFER}
        return checkpoint['state_dict'], checkpoint['optimizer'], kept


def identical(one, other):
    """Tell whether two nested values are the same, tensors bit by bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(identical, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
