import json
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from safetensors.torch import save_file
from yapf.yapflib import yapf_api

from octfluid.engine import record as records
from octfluid.engine.config import config_sha256, load_config
from octfluid.engine.record import file_sha256, read_record
from octfluid.engine.training import Request, test, train
from octfluid.errors import InputError

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'smoke' / 'phantom.py'
LAST = 'iter_12.pth'
RECORD = 'train_heldout_scratch_12i_seed0.json'

test.__test__ = False


@pytest.fixture(scope='module', autouse=True)
def hurry():
    """Spare tiny trainings what takes longer than they do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, 'FormatCode', lambda text, **_: (text, True))  # lays out the config in the log
        # Workers of a run that is over, and that Python's garbage collector ends, are waited for as long as this.
        patch.setattr(torch.utils.data._utils, 'MP_STATUS_CHECK_INTERVAL', 0.2)
        yield


@pytest.fixture(scope='module')
def run(tiny_options):
    """Train the tiny network; keyword arguments go to `load_config` (split, seed, init) or `Request` (resume, amp, ...)."""

    def call(work_dir, options=None, **arguments):
        options = {**tiny_options, **(options or {})}
        chosen = {key: arguments.pop(key) for key in ('split', 'seed', 'init') if key in arguments}
        path = train(load_config(CONFIG, options, **chosen), Request(str(CONFIG), str(work_dir), options, **arguments))
        return read_record(path)

    return call


@pytest.fixture(scope='module')
def score(tiny_options):
    """Test a checkpoint of the tiny network."""

    def call(checkpoint, out, options=None, split=None):
        options = {**tiny_options, **(options or {})}
        request = Request(str(CONFIG), str(out), options)
        return read_record(test(load_config(CONFIG, options, split=split), request, str(checkpoint)))

    return call


@pytest.fixture(scope='module')
def whole(run, tmp_path_factory):
    """An uninterrupted run: its folder and its record."""
    folder = tmp_path_factory.mktemp('whole')
    return folder, run(folder)


@pytest.fixture
def copy_of_whole(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'copy')
    (tmp_path / 'copy' / RECORD).unlink()
    return tmp_path / 'copy'


@pytest.fixture
def weights(whole, tmp_path):
    """The weights of the uninterrupted run as a file for publication."""
    path = tmp_path / 'weights.safetensors'
    save_file({name: tensor.contiguous() for name, tensor in load(whole[0] / LAST)['state_dict'].items()}, path)
    return path


def load(path):
    return torch.load(path, weights_only=True)


def identical(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(identical(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def same_training(folder, other):
    """Tell whether the last weights and the optimizer's state of two runs are the same, bit for bit."""
    one, two = load(folder / LAST), load(other / LAST)
    return identical(one['state_dict'], two['state_dict']) and identical(one['optimizer']['state'], two['optimizer']['state'])


RESULT = ('metrics', 'images', 'history', 'config_sha256', 'split_sha256', 'source_sha256', 'iterations', 'seed', 'init')


def assert_same_result(record, expected):
    assert {key: record[key] for key in RESULT} == {key: expected[key] for key in RESULT}


def assert_one_line(caught):
    assert '\n' not in str(caught.value)


def test_record_tells_the_run(whole, tiny_options):
    folder, record = whole
    assert (folder / RECORD).is_file()
    assert record['kind'] == 'train'
    assert record['config'] == 'configs/smoke/phantom.py'
    assert record['overrides'] == json.loads(json.dumps(tiny_options))
    assert record['config_sha256'] == config_sha256(load_config(CONFIG, tiny_options))
    assert (record['iterations'], record['seed'], record['split'], record['variant']) == (12, 0, 'heldout', '')
    assert (record['init'], record['deterministic']) == (None, False)
    assert record['checkpoint_sha256'] == file_sha256(folder / LAST)
    assert record['precision'] == 'fp32'
    assert {'python', 'torch', 'mmseg', 'mmcv', 'mmengine', 'numpy', 'octfluid'} <= record['versions'].keys()
    assert record['versions']['torch'] == torch.__version__
    assert record['wall_seconds'] > 0
    assert record['images_per_second'] > 0
    assert record['peak_memory_bytes'] > 50e6
    assert [(row['name'], row['subject'], row['height']) for row in record['images']] == [
        (f's03_z{z:02d}', 3, 64) for z in range(4)
    ]
    assert sum(row['tp'] for row in record['images']) > 0, 'scores without any hit would hide mistakes'
    assert 0 < record['metrics']['Dice.fluid'] < 1


def test_split_digest_covers_the_scored_files(whole, phantoms):
    names = [f's03_z{z:02d}' for z in range(4)]
    files = [(name, *(phantoms / 'native' / kind / f'{name}.png' for kind in ('images', 'annotations'))) for name in names]
    assert whole[1]['split_sha256'] == records.split_sha256(files)


def test_history_has_the_mean_loss_every_ten_iterations_and_at_the_end(whole):
    folder, record = whole
    losses = load(folder / LAST)['message_hub']['scalars']['train/loss']['values']
    assert len(losses) == 12
    assert [point['iteration'] for point in record['history']] == [10, 12]
    assert [point['loss'] for point in record['history']] == [losses[:10].mean().item(), losses[2:].mean().item()]
    rates = [(0.01 - 1e-5) * (1 - done / 149) ** 0.9 + 1e-5 for done in (9, 11)]
    assert [point['lr'] for point in record['history']] == pytest.approx(rates, rel=1e-6)


def test_checkpoints_hold_tensors_and_plain_values_only(whole):
    for name in ('iter_6.pth', LAST):
        content = load(whole[0] / name)
        assert {'state_dict', 'optimizer', 'param_schedulers', 'message_hub', 'meta', 'run'} <= content.keys()
    assert content['meta']['iter'] == 12
    assert content['run']['init'] is None


def test_nothing_temporary_is_left(whole):
    names = {path.name for path in whole[0].iterdir() if path.is_file()}
    assert names == {'iter_6.pth', LAST, 'last_checkpoint', 'phantom.py', RECORD}


def test_log_says_what_will_happen(whole):
    log = next(whole[0].glob('*/*.log')).read_text()
    for line in (
        "split 'heldout'",
        'train: 8 scans of 2 subjects, 6 with fluid',
        'val: 4 scans of 1 subjects, 3 with fluid',
        'weights  random',
        'training to iteration 12, batch 2, seed 0, fp32, CPU',
    ):
        assert line in log, line


def test_same_seed_gives_the_same_result_with_workers_and_validation_between(run, whole, tmp_path):
    options = {'train_dataloader.num_workers': 2, 'val_dataloader.num_workers': 1, 'train_cfg.val_interval': 4}
    record = run(tmp_path / 'again', options)
    assert_same_result(record, whole[1])
    assert same_training(tmp_path / 'again', whole[0])


def test_other_seed_gives_another_result(run, whole, tmp_path):
    record = run(tmp_path / 'other', seed=1)
    assert record['seed'] == 1
    assert record['history'] != whole[1]['history']
    assert not same_training(tmp_path / 'other', whole[0])


@pytest.mark.parametrize('workers', [0, 2])
def test_resume_gives_what_an_uninterrupted_run_gives(run, whole, tmp_path, workers):
    half = run(tmp_path / 'run', {'train_cfg.max_iters': 5})
    assert half['iterations'] == 5
    record = run(tmp_path / 'run', {'train_dataloader.num_workers': workers}, resume=True)
    assert_same_result(record, whole[1])
    assert same_training(tmp_path / 'run', whole[0])
    assert record['wall_seconds'] > half['wall_seconds']


def test_resume_passes_over_a_broken_checkpoint(run, whole, copy_of_whole, caplog):
    content = (copy_of_whole / LAST).read_bytes()
    (copy_of_whole / LAST).write_bytes(content[: len(content) // 2])
    record = run(copy_of_whole, resume=True)
    assert_same_result(record, whole[1])
    assert same_training(copy_of_whole, whole[0])
    logs = ''.join(path.read_text() for path in copy_of_whole.glob('*/*.log'))
    assert 'taking the checkpoint before it' in logs
    assert 'training from iteration 6 to iteration 12' in logs


def test_run_that_was_stopped_before_its_last_validation_is_scored(run, whole, copy_of_whole):
    record = run(copy_of_whole, resume=True)
    assert_same_result(record, whole[1])
    assert record['checkpoint_sha256'] == whole[1]['checkpoint_sha256'], 'it has trained again'


def test_resume_without_a_checkpoint_begins(run, whole, tmp_path):
    assert_same_result(run(tmp_path / 'new', resume=True), whole[1])


@pytest.mark.parametrize(('arguments', 'options', 'said'), [
    (dict(seed=1), {}, 'trained with seed 0, not 1'),
    (dict(split='other'), {}, 'trained with split heldout, not other'),
    (dict(amp=True), {}, 'trained with precision fp32, not bf16'),
    ({}, {'optim_wrapper.optimizer.lr': 0.1}, 'trained with other config settings'),
    ({}, {'train_cfg.max_iters': 7}, 'has 12 iterations, more than train_cfg.max_iters=7'),
])  # fmt: skip
def test_another_run_is_not_resumed(run, copy_of_whole, arguments, options, said):
    with pytest.raises(InputError, match=said) as caught:
        run(copy_of_whole, options, resume=True, **arguments)
    assert LAST in str(caught.value)
    assert not list(copy_of_whole.glob('*.json'))


def test_last_iteration_is_scored_whatever_the_interval(run, whole, tmp_path):
    record = run(tmp_path / 'run', {'train_cfg.val_interval': 5, 'default_hooks.checkpoint.interval': 5})
    assert_same_result(record, whole[1])


def test_testing_repeats_the_last_validation(score, whole, tmp_path):
    folder, record = whole
    tested = score(folder / LAST, tmp_path / 'out')
    assert (tmp_path / 'out' / 'test_heldout_scratch_12i_seed0.json').is_file()
    same = ('metrics', 'images', 'split_sha256', 'config_sha256', 'checkpoint_sha256', 'iterations', 'seed', 'init')
    assert {key: tested[key] for key in same} == {key: record[key] for key in same}
    assert (tested['kind'], tested['precision'], tested['history']) == ('test', 'fp32', [])


def test_earlier_checkpoint_is_scored_as_what_it_is(score, whole, tmp_path):
    tested = score(whole[0] / 'iter_6.pth', tmp_path / 'out')
    assert tested['iterations'] == 6
    assert tested['images'] != whole[1]['images']


def test_split_without_validation_list_is_scored_on_all_scans(score, whole, tmp_path):
    tested = score(whole[0] / LAST, tmp_path / 'out', split='all')
    assert tested['split'] == 'all'
    assert [row['subject'] for row in tested['images']] == [1] * 4 + [2] * 4 + [3] * 4
    assert tested['images'][8:] == whole[1]['images']


def test_weights_from_elsewhere_are_their_own_beginning(score, whole, weights, tmp_path):
    tested = score(weights, tmp_path / 'out')
    assert tested['images'] == whole[1]['images']
    assert (tested['init']['source'], tested['init']['name'], tested['iterations']) == ('other', 'weights.safetensors', 0)


class Spy(Hook):
    """Note the dtypes of a convolution's output and of the losses' logits, by whether the network was training."""

    seen: set = set()  # noqa: RUF012  mmengine builds hooks itself, so the test can only read a class attribute

    def before_train(self, runner):
        """Hook the modules."""
        model = runner.model
        model.backbone.register_forward_hook(lambda module, _, out: self.seen.add((module.training, 'features', out[-1].dtype)))
        for loss in model.decode_head.loss_decode:
            loss.register_forward_pre_hook(lambda module, inputs: self.seen.add((True, 'logits', inputs[0].dtype)))


@pytest.fixture
def spy(monkeypatch):
    monkeypatch.setattr(Spy, 'seen', set())
    monkeypatch.setitem(HOOKS._module_dict, 'Spy', Spy)
    return Spy


@pytest.mark.parametrize(('amp', 'dtype', 'name'), [(True, torch.bfloat16, 'bf16'), (False, torch.float32, 'fp32')])
def test_mixed_precision_on_a_cpu(run, spy, tmp_path, monkeypatch, amp, dtype, name):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    hooks = [dict(type=kind) for kind in ('StepSeedHook', 'PlainCheckpointHook', 'RunStateHook', 'Spy')]
    record = run(tmp_path / 'run', {'train_cfg.max_iters': 2, 'custom_hooks': hooks}, amp=amp)
    assert record['precision'] == name
    assert spy.seen == {(True, 'features', dtype), (False, 'features', torch.float32), (True, 'logits', torch.float32)}
    assert record['history'][0]['loss'] > 0


def test_mixed_precision_twice_is_refused(run, tmp_path):
    with pytest.raises(InputError, match=r'--amp: the config already sets optim_wrapper\.type=AmpOptimWrapper'):
        run(tmp_path / 'run', {'optim_wrapper.type': 'AmpOptimWrapper'}, amp=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('amp', [True, False])
def test_training_on_a_gpu(run, tmp_path, amp):
    record = run(tmp_path / 'run', amp=amp)
    assert record['device'] == torch.cuda.get_device_name()
    assert record['precision'] == ('bf16' if amp else 'fp32')


def test_initial_weights_are_loaded_and_recorded(run, whole, weights, tmp_path):
    still = {'train_cfg.max_iters': 1, 'optim_wrapper.optimizer.lr': 0.0, 'param_scheduler.0.eta_min': 0.0}
    record = run(tmp_path / 'run', still, init=str(weights))
    given = load(whole[0] / LAST)['state_dict']
    assert record['init'] == dict(
        source='other', name='weights.safetensors', sha256=file_sha256(weights), loaded=len(given), total=len(given)
    )
    assert (tmp_path / 'run' / 'train_heldout_other_1i_seed0.json').is_file()
    trained = load(tmp_path / 'run' / 'iter_1.pth')['state_dict']
    learnt = [key for key in given if key.endswith(('.weight', '.bias'))]
    assert len(learnt) > 50
    assert all(torch.equal(trained[key], given[key]) for key in learnt)


def test_initial_weights_survive_a_resume(run, weights, tmp_path):
    first = run(tmp_path / 'run', {'train_cfg.max_iters': 1}, init=str(weights))
    weights.unlink()  # a resumed run needs them no more
    record = run(tmp_path / 'run', {'train_cfg.max_iters': 2}, init=str(weights), resume=True)
    assert record['init'] == first['init']


@pytest.mark.parametrize('resume', [False, True])
def test_missing_initial_weights_stop_before_anything_is_written(run, tmp_path, resume):
    with pytest.raises(InputError, match='--init none'):
        run(tmp_path / 'run', init='absent.pth', resume=resume)
    assert not (tmp_path / 'run').exists()


WIDER = {'model.decode_head.channels': 6}


def test_initial_weights_of_another_architecture(run, weights, tmp_path):
    with pytest.raises(InputError, match=r'weights\.safetensors: made for another architecture') as caught:
        run(tmp_path / 'run', WIDER, init=str(weights))
    assert_one_line(caught)
    assert not list((tmp_path / 'run').glob('*.json'))


def test_checkpoint_of_another_architecture(score, whole, tmp_path):
    with pytest.raises(InputError, match=r'iter_12\.pth: made for another architecture') as caught:
        score(whole[0] / LAST, tmp_path / 'out', WIDER)
    assert_one_line(caught)
    assert not list((tmp_path / 'out').glob('*.json'))


def test_loss_that_is_not_finite_becomes_null(run, tmp_path):
    record = run(tmp_path / 'run', {'optim_wrapper.optimizer.lr': 1e30})
    assert record['history'][-1]['loss'] is None


def test_best_weights_of_an_inner_split_outlive_a_resume(run, tmp_path):
    hook = 'default_hooks.checkpoint'
    saving = {f'{hook}.save_best': 'aAcc', f'{hook}.rule': 'greater', 'train_cfg.val_interval': 3}
    for iterations in (6, 12):
        run(tmp_path / 'run', {**saving, 'train_cfg.max_iters': iterations}, split='heldout-inner1', resume=iterations == 12)
    lines = ''.join(path.read_text() for path in (tmp_path / 'run').glob('*/vis_data/scalars.json')).splitlines()
    scores = {entry['step']: entry['aAcc'] for entry in map(json.loads, lines) if 'aAcc' in entry}
    assert sorted(scores) == [3, 6, 9, 12]
    best = max(scores, key=scores.get)
    assert [path.name for path in (tmp_path / 'run').glob('best_*.pth')] == [f'best_aAcc_iter_{best}.pth']
    assert load(tmp_path / 'run' / LAST)['message_hub']['info']['best_score'] == scores[best]


@pytest.mark.parametrize(('options', 'said'), [
    ({'optim_wrapper.optimizer.type': 'NoSuchOptimizer'}, "no optimizer 'NoSuchOptimizer'"),
    ({'optim_wrapper.optimizer.wd': 1}, "unexpected keyword argument 'wd'"),
    ({'train_cfg.max_iters': 'many'}, 'many'),
    ({'train_dataloader.dataset.pipeline.2.type': 'RandomCorp'}, 'RandomCorp is not in'),
    ({'model.decode_head.type': 'NoSuchHead'}, 'NoSuchHead is not in'),
    ({'randomness.seed': -1}, 'cannot be built'),
])  # fmt: skip
def test_what_cannot_be_built_is_one_line(run, tmp_path, options, said):
    with pytest.raises(InputError, match=r'phantom\.py: cannot be built, ') as caught:
        run(tmp_path / 'run', options)
    assert said in str(caught.value)
    assert_one_line(caught)


def test_unsound_data_stop_before_anything_is_written(run, phantoms, tmp_path):
    import cv2

    shutil.copytree(phantoms, tmp_path / 'data')
    mask = tmp_path / 'data' / 'native' / 'annotations' / 's03_z01.png'
    cv2.imwrite(str(mask), cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) * 255)
    for data, said in (('data', r's03_z01\.png.*255'), ('absent', 'no such data set')):
        with pytest.raises(InputError, match=said) as caught:
            run(tmp_path / 'run', {'data_root': str(tmp_path / data)})
        assert_one_line(caught)
    assert not (tmp_path / 'run').exists()


def test_deterministic_kernels_are_asked_for_and_recorded(run, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, 'use_deterministic_algorithms', lambda mode, **_: asked.append(mode))
    monkeypatch.setattr(torch.backends.cudnn, 'deterministic', False)
    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', False)
    record = run(tmp_path / 'run', {'train_cfg.max_iters': 1}, deterministic=True)
    assert record['deterministic'] is True
    assert True in asked


def test_overlapping_subjects_are_pointed_out(run, tmp_path, phantoms):
    names = [f's01_z{z:02d}' for z in range(4)]
    shutil.copytree(phantoms, tmp_path / 'data')
    for subset, members in (('train', [*names[:2], 's02_z00', 's02_z01']), ('val', names[2:])):
        (tmp_path / 'data' / 'splits' / f'mixed_{subset}.txt').write_text('\n'.join(members) + '\n')
    run(tmp_path / 'run', {'data_root': str(tmp_path / 'data'), 'train_cfg.max_iters': 1}, split='mixed')
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert 'note: 1 subjects have scans on both sides' in log


def test_runs_of_one_process_keep_their_logs_apart(run, whole, tmp_path):
    before = {path: path.read_bytes() for path in whole[0].rglob('*') if path.is_file()}
    run(tmp_path / 'run', {'train_cfg.max_iters': 1})
    assert {path: path.read_bytes() for path in whole[0].rglob('*') if path.is_file()} == before
