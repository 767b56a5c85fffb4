from pathlib import Path

import pytest

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'smoke' / 'phantom.py'


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
def run(tiny_options, hurry, on_cpu):
    """Train the tiny network; keyword arguments go to `load_config` (split, seed, init) or `Request` (resume, amp, ...)."""
    from octfluid.engine.config import load_config
    from octfluid.engine.record import read_record
    from octfluid.engine.training import Request, train

    def call(work_dir, options=None, **arguments):
        options = {**tiny_options, **(options or {})}
        chosen = {key: arguments.pop(key) for key in ('split', 'seed', 'init') if key in arguments}
        path = train(load_config(CONFIG, options, **chosen), Request(str(CONFIG), str(work_dir), options, **arguments))
        return read_record(path)

    return call


@pytest.fixture(scope='session')
def score(tiny_options, hurry, on_cpu):
    """Test a checkpoint of the tiny network."""
    from octfluid.engine import training
    from octfluid.engine.config import load_config
    from octfluid.engine.record import read_record

    def call(checkpoint, out, options=None, split=None):
        options = {**tiny_options, **(options or {})}
        request = training.Request(str(CONFIG), str(out), options)
        return read_record(training.test(load_config(CONFIG, options, split=split), request, str(checkpoint)))

    return call


@pytest.fixture(scope='session')
def whole(run, tmp_path_factory):
    """An uninterrupted run of 12 iterations: its folder and its record."""
    folder = tmp_path_factory.mktemp('whole')
    return folder, run(folder)


@pytest.fixture
def weights(whole, tmp_path):
    """The weights of the uninterrupted run as a file for publication."""
    import torch
    from safetensors.torch import save_file

    path = tmp_path / 'weights.safetensors'
    state = torch.load(whole[0] / 'iter_12.pth', weights_only=True)['state_dict']
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


@pytest.fixture
def write_config(tmp_path, request):
    """Write a config that builds on row 10 and has further lines."""

    def write(*lines, base='configs/table2/10_crop320_wd1e-4.py'):
        path = tmp_path / 'mine.py'
        path.write_text('\n'.join([f"_base_ = '{request.config.rootpath / base}'", *lines]) + '\n')
        return path

    return write
