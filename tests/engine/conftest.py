import json
import sys
from pathlib import Path

import pytest

from octfluid.engine.sweep import Resolved, plan_runs, run_all
from octfluid.records.record import write_record

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'smoke' / 'phantom.py'

# Stands in for tools/train.py: notes how it was called, then does what behaviour.json says for its seed.
FAKE_TRAIN = """
import argparse, json, os, sys, time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument('config')
parser.add_argument('--work-dir')
parser.add_argument('--seed', type=int)
parser.add_argument('--resume', action='store_true')
args, _ = parser.parse_known_args()
here, out = Path(__file__).parent, Path(args.work_dir)
call = {'start': time.time(), 'seed': args.seed, 'resume': args.resume,
        'gpu': os.environ.get('CUDA_VISIBLE_DEVICES'), 'order': os.environ.get('CUDA_DEVICE_ORDER'),
        'threads': os.environ.get('OMP_NUM_THREADS')}
behaviour = json.loads((here / 'behaviour.json').read_text()).get(str(args.seed), 'train')
print('training', flush=True)
if behaviour == 'wait':
    (out / 'pid').write_text(str(os.getpid()))
    time.sleep(60)
if behaviour == 'kill the job':
    os.kill(os.getppid(), 9)
    sys.exit()
if behaviour == 'parallel':
    time.sleep(0.6)
if behaviour == 'stop halfway':
    (out / 'last_checkpoint').write_text('iter_100.pth')
call['end'] = time.time()
(here / f'call_{args.seed}_{time.time_ns()}.json').write_text(json.dumps(call))
if behaviour == 'no memory' and len(list(here.glob(f'call_{args.seed}_*.json'))) == 1:
    sys.exit('error: out of memory')
if behaviour in ('fail', 'stop halfway'):
    print('error: no such data', 'and then some', sep='\\n')
    sys.exit(2)
if behaviour == 'crash':
    raise ValueError('boom')
if behaviour != 'no record':
    record = json.loads((here / 'record.json').read_text()) | {'seed': args.seed}
    (out / f'train_paper_scratch_400i_seed{args.seed}.json').write_text(json.dumps(record))
"""


@pytest.fixture(scope='session')
def hurry():
    """Spare tiny trainings what takes longer than they do."""
    import torch
    from yapf.yapflib import yapf_api

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, 'FormatCode', lambda text, **_: (text, True))  # lays out the config in the log
        # Workers of a run that is over, and that Python's garbage collector ends, are waited for as long as this.
        patch.setattr(torch.utils.data._utils, 'MP_STATUS_CHECK_INTERVAL', 0.2)
        yield


@pytest.fixture(scope='session')
def on_cpu():
    """Train on the CPU even where there is a GPU, whose usual kernels do not repeat their results bit by bit."""
    import torch
    from mmengine.device import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, 'is_available', lambda: False)
        patch.setattr(utils, 'DEVICE', 'cpu')
        yield


@pytest.fixture(scope='session')
def tiny(tiny_options, hurry, on_cpu):
    """Return the tiny network's config, with options and the arguments of `load_config`."""
    from octfluid.engine.config import load_config

    def make(options=None, config=CONFIG, **arguments):
        return load_config(config, {**tiny_options, **(options or {})}, **arguments)

    return make


@pytest.fixture(scope='session')
def run(tiny):
    """Train the tiny network; keyword arguments go to `load_config` (split, seed, init) or `train` (resume, amp, ...)."""
    from octfluid.engine.run import train
    from octfluid.records.record import read_record

    def call(work_dir, options=None, **arguments):
        chosen = {key: arguments.pop(key) for key in ('split', 'seed', 'init') if key in arguments}
        return read_record(train(tiny(options, **chosen), str(work_dir), **arguments))

    return call


@pytest.fixture(scope='session')
def score(tiny):
    """Test checkpoints of the tiny network."""
    from octfluid.engine.run import test
    from octfluid.records.record import read_record

    def call(checkpoints, out, options=None, split=None, **arguments):
        checkpoints = [str(checkpoints)] if isinstance(checkpoints, str | Path) else list(map(str, checkpoints))
        return read_record(test(tiny(options, split=split), checkpoints, str(out), **arguments))

    return call


@pytest.fixture(scope='session')
def whole(run, tmp_path_factory):
    """An uninterrupted run of 12 iterations: its folder and its record."""
    folder = tmp_path_factory.mktemp('whole')
    return folder, run(folder)


@pytest.fixture
def weights(whole):
    """The checkpoint of the uninterrupted run."""
    return whole[0] / 'iter_12.pth'


class Bench:
    """A folder with the fake training, and sweeps of it."""

    def __init__(self, folder, make_record):
        self.folder, self.make_record = folder, make_record
        self.command = [sys.executable, str(folder / 'fake_train.py')]
        self.resolved = Resolved('a' * 64, 'paper', None, Path('data'))
        (folder / 'fake_train.py').write_text(FAKE_TRAIN)
        self.behave({})
        self.record()

    def behave(self, by_seed):
        (self.folder / 'behaviour.json').write_text(json.dumps(by_seed))

    def record(self, **changes):
        write_record(self.make_record(**changes), self.folder / 'record.json')

    def plan(self, seeds=(0, 1), configs=('a.py',), **options):
        resolve = options.pop('resolve', lambda config, split, init, changes: self.resolved)
        return plan_runs([Path(name) for name in configs], seeds, self.folder / 'work', resolve=resolve, **options)

    def sweep(self, seeds=(0, 1), jobs=1, gpus=(), **options):
        return run_all(self.plan(seeds, **options), self.command, jobs=jobs, gpus=gpus)

    @property
    def calls(self):
        calls = [json.loads(path.read_text()) for path in self.folder.glob('call_*.json')]
        return sorted(calls, key=lambda call: call['start'])


@pytest.fixture
def bench(tmp_path, make_record):
    return Bench(tmp_path, make_record)
