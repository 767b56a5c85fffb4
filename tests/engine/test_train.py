import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import LoggerHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import get_priority
from torch.optim import Adam

from octfluid.engine.hooks import StepSeedHook, StopHook
from octfluid.engine.performance import PerformanceHook, use_precision
from octfluid.engine.run import train
from octfluid.records.record import read_record
from octfluid.utils.errors import InputError, Interrupted, WorkError

SHORT = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2}


def state_of(folder, iteration=12):
    return torch.load(folder / f'iter_{iteration}.pth', weights_only=True)['state_dict']


def assert_equal_weights(folder, other):
    ours, theirs = state_of(folder), state_of(other)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_record_of_a_training(whole):
    folder, record = whole
    assert (record['kind'], record['split'], record['iterations'], record['seed'], record['init']) == (
        'train', 'heldout', 12, 0, None)  # fmt: skip
    assert record['config'] == 'configs/smoke/phantom.py' and record['precision'] == 'fp32'
    assert [point['iteration'] for point in record['history']] == [10, 12]
    assert len(record['images']) == 4 and all(row['subject'] == 3 for row in record['images'])
    assert record['overrides']['train_cfg.max_iters'] == 12 and not any('data_root' in key for key in record['overrides'])
    assert [path.name for path in folder.glob('*.json')] == ['train_heldout_scratch_12i_seed0.json']


def test_resume_is_exact_and_workers_do_not_matter(run, whole, tmp_path):
    options = {'train_dataloader.num_workers': 2}
    run(tmp_path, {**options, 'train_cfg.max_iters': 6, 'train_cfg.val_interval': 6})
    record = run(tmp_path, options, resume=True)
    assert_equal_weights(tmp_path, whole[0])
    assert record['images'] == whole[1]['images'] and record['history'] == whole[1]['history']


def test_a_resume_with_another_memory_layout_goes_on_alike(run, tmp_path):
    options = {'optim_wrapper.optimizer.type': 'SGD', 'optim_wrapper.optimizer.momentum': 0.9, 'train_cfg.val_interval': 4}
    layout, whole, parts = 'default_hooks.performance.channels_last', tmp_path / 'whole', tmp_path / 'parts'
    run(whole, {**options, 'train_cfg.max_iters': 4, layout: False})  # its initial weights are the same
    run(parts, {**options, 'train_cfg.max_iters': 2, layout: True})
    run(parts, {**options, 'train_cfg.max_iters': 4, layout: False}, resume=True)
    ours, theirs = state_of(parts, 4), state_of(whole, 4)
    assert all(torch.allclose(ours[name].double(), theirs[name].double(), atol=1e-5) for name in ours)


@pytest.mark.parametrize(('cpu', 'precision', 'last'), [('AVX2', 'fp32', 0), ('AVX2', 'bf16', 1), ('AVX512', 'fp32', 1)])
def test_layout_in_training_fits_the_cpu(cpu, precision, last, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: cpu)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    model, cfg = torch.nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last), Config(dict(optim_wrapper={}))
    use_precision(cfg, precision)
    optimizers = OptimWrapperDict(one=OptimWrapper(Adam(model.parameters())))
    PerformanceHook().before_train(SimpleNamespace(model=model, cfg=cfg, optim_wrapper=optimizers))
    assert model.weight.is_contiguous(memory_format=torch.channels_last) == last


def test_history_holds_the_score_of_each_validation_before_and_after_a_resume(run, tmp_path):
    options = {'train_cfg.val_interval': 2, 'default_hooks.checkpoint.interval': 3}
    assert run(tmp_path, {**options, 'train_cfg.max_iters': 3})['iterations'] == 3
    history = run(tmp_path, {**options, 'train_cfg.max_iters': 6}, resume=True)['history']
    assert [point['iteration'] for point in history] == [2, 4, 6] and all(0 < point['mIoU'] < 1 for point in history)


def test_signal_writes_a_checkpoint_to_go_on_from(run, whole, tmp_path, monkeypatch):
    number = signal.SIGTERM

    def stop_once(hook, runner, batch_idx, data_batch=None):
        if runner.iter == 4 and not hook.number:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(StopHook, 'before_train_iter', stop_once)
        with pytest.raises(Interrupted) as caught:
            run(tmp_path, {'default_hooks.checkpoint.interval': 100})
    said = str(caught.value)
    assert caught.value.exit_status == 128 + number and str(tmp_path / 'iter_5.pth') in said and ' 5 iterations' in said
    run(tmp_path, resume=True)
    assert_equal_weights(tmp_path, whole[0])


@pytest.mark.parametrize(
    ('options', 'arguments'),
    [({'optim_wrapper.optimizer.lr': 0.5}, {}), ({}, dict(seed=1)), ({}, dict(split='other')), ({}, dict(deterministic=True))],
)
def test_resume_of_another_run_is_refused(run, whole, options, arguments):
    before = state_of(whole[0])
    with pytest.raises(InputError, match=str(whole[0])):
        run(whole[0], options, resume=True, **arguments)
    after = state_of(whole[0])
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_two_processes_in_one_folder_are_refused(run, tmp_path):
    code = (
        f'import sys; from octfluid.utils.lock import occupied\nwith occupied({str(tmp_path)!r}): print(1, flush=True); input()'
    )
    with subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(InputError, match=str(tmp_path)):
            run(tmp_path)
        other.communicate(b'\n')
    assert not list(tmp_path.glob('iter_*'))


def test_nan_loss_names_the_scans_and_keeps_no_broken_checkpoint(run, tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(WorkError, match=r's0\d_z0\d'):
        run(tmp_path, {'optim_wrapper.optimizer.lr': 1e30, 'optim_wrapper.optimizer.type': 'SGD',
                       'optim_wrapper.optimizer.fused': False})  # fmt: skip
    assert signal.getsignal(signal.SIGTERM) == handler
    for path in tmp_path.glob('iter_*.pth'):
        assert all(torch.isfinite(tensor).all() for tensor in torch.load(path, weights_only=True)['state_dict'].values())


def test_training_that_a_hook_ends_early_keeps_its_record(run, tmp_path):
    stop = dict(type='EarlyStoppingHook', monitor='mIoU', patience=1, min_delta=1.0, rule='greater')
    record = run(tmp_path, {'custom_hooks': [stop], 'train_cfg.max_iters': 40, 'train_cfg.val_interval': 4})
    assert 4 < record['iterations'] < 40 and len(list(tmp_path.glob('train_*.json'))) == 1


def test_split_all_leaves_nothing_to_score(run, tmp_path):
    record = run(tmp_path, {'train_cfg.max_iters': 2}, split='all')
    assert record['split'] == 'all' and record['images'] == [] and record['metrics']['mIoU'] is None


@pytest.mark.parametrize(
    'options',
    [
        {'custom_hooks': [dict(type='EMAHook')], 'optim_wrapper.clip_grad.max_norm': 1.0,
         'train_dataloader.sampler': dict(type='InfiniteSampler', shuffle=True)},
        {'train_cfg': dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=1, val_interval=1),
         'train_dataloader.sampler': dict(type='DefaultSampler', shuffle=True), 'log_processor.by_epoch': True,
         'default_hooks.checkpoint.by_epoch': True},
    ],
    ids=['iterations', 'epochs'],
)  # fmt: skip
def test_what_mmsegmentation_allows_is_recorded(run, tmp_path, options):
    record = run(tmp_path, {**SHORT, **options})
    assert record['iterations'] >= 2 and len(record['images']) == 4


def test_wrapped_data_sets_keep_their_seeds(tiny, tmp_path):
    records = []
    for workers in (0, 1):
        cfg = tiny({**SHORT, 'train_dataloader.num_workers': workers})
        inner = cfg.train_dataloader.dataset
        repeated = dict(type='RepeatDataset', dataset=inner, times=2)
        cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[repeated, inner])
        records.append(read_record(train(cfg, str(tmp_path / str(workers)))))
    assert records[0]['history'] == records[1]['history'] and records[0]['split'] == 'heldout'


def test_metrics_of_mmseg_may_stand_next_to_ours_but_not_alone(run, tiny, tmp_path):
    other = dict(type='IoUMetric', iou_metrics=['mIoU'], prefix='mmseg')
    record = run(tmp_path / 'both', {**SHORT, 'val_evaluator': [dict(type='FluidMetric'), other]})
    kinds = {f'{kind}.{name}' for kind in ('IoU', 'Dice') for name in ('background', 'fluid')}
    assert set(record['metrics']) == {'mIoU', 'mDice', 'aAcc', *kinds}
    cfg = tiny(SHORT)
    cfg.val_evaluator = other
    assert train(cfg, str(tmp_path / 'alone')) is None and not list((tmp_path / 'alone').glob('*.json'))


@pytest.mark.parametrize(('options', 'named'), [
    ({'model.decode_head.loss_decode': dict(type='NoSuchLoss')}, 'NoSuchLoss'),
    ({'train_dataloader.dataset.pipeline.2.crop_size': (0, 4)}, 'phantom.py'),
    ({'model.decode_head.in_channels': 5}, 'phantom.py'), ({'load_from': 'no.pth'}, 'no.pth'),
])  # fmt: skip
def test_what_cannot_be_built_or_begun_is_one_line_and_leaves_no_trace(run, tmp_path, options, named):
    with pytest.raises(InputError, match=named) as caught:
        run(tmp_path / 'new', options)
    assert '\n' not in str(caught.value) and not (tmp_path / 'new').exists()


@pytest.mark.parametrize('said', ["Cuda failure 2 'out of memory'", 'Duplicate GPU detected : rank 1 and rank 0'])
def test_what_nccl_says_is_kept_with_the_rank(run, tmp_path, monkeypatch, said):
    error = torch.distributed.DistBackendError(f'NCCL error in: x.cpp:77\nLast error:\n{said} on device 50')
    monkeypatch.setattr('octfluid.engine.run.get_rank', lambda: 1)
    monkeypatch.setattr(StepSeedHook, 'before_train_iter', lambda *_, **__: (_ for _ in ()).throw(error))
    with pytest.raises(WorkError, match=f'phantom.py: rank 1: .*{said} on device 50'):
        run(tmp_path)


def test_work_dir_in_the_data_is_refused(run, phantoms):
    with pytest.raises(InputError, match='splits'):
        run(phantoms / 'splits')


def test_mixed_precision_is_recorded_and_kept_by_a_resume(run, tmp_path):
    record = run(tmp_path, SHORT, amp='on')
    assert record['precision'] == 'bf16'
    longer = {'train_cfg.max_iters': 4, 'train_cfg.val_interval': 4}
    assert run(tmp_path, longer, amp='auto', resume=True)['precision'] == 'bf16'
    with pytest.raises(InputError, match='precision'):
        run(tmp_path, {'train_cfg.max_iters': 6}, resume=True)


def test_init_is_loaded_whole_unless_told_otherwise(run, weights, tmp_path):
    init = run(tmp_path / 'whole', SHORT, init=str(weights))['init']
    assert (init['source'], init['name'], init['loaded']) == ('other', 'iter_12.pth', init['total'])
    state = torch.load(weights, weights_only=True)
    state['state_dict'] = {name: tensor for name, tensor in state['state_dict'].items() if 'conv_seg' not in name}
    torch.save(state, tmp_path / 'part.pth')
    with pytest.raises(InputError, match='conv_seg'):
        run(tmp_path / 'a', SHORT, init=str(tmp_path / 'part.pth'))
    reinit = {'default_hooks.initial_weights.reinit': ['decode_head.conv_seg', 'auxiliary_head.conv_seg']}
    init = run(tmp_path / 'b', {**SHORT, **reinit}, init=str(tmp_path / 'part.pth'))['init']
    assert init['total'] - init['loaded'] == 4


def test_a_gpu_is_recorded_as_it_was_used(run, tmp_path, monkeypatch):
    """Its peak is noted before the log resets it, float32 that was TF32 is called so, averages fit any machine."""
    stored = []
    monkeypatch.setattr('octfluid.engine.record_hook.uses_tf32', lambda: True)
    monkeypatch.setattr('octfluid.engine.record_hook.weights_to_cpu', lambda weights: stored.append(len(weights)) or weights)
    assert run(tmp_path, {**SHORT, 'custom_hooks': [dict(type='EMAHook')]})['precision'] == 'tf32'
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=True)
    assert sorted(stored[-2:]) == sorted([len(checkpoint['state_dict']), len(checkpoint['ema_state_dict'])])
    assert get_priority(PerformanceHook.priority) < get_priority(LoggerHook.priority)


@pytest.mark.slow
def test_compiled_steps_resume_and_are_recorded(run, tmp_path):
    options = {'compile': dict(backend='eager'), 'train_cfg.max_iters': 4, 'train_cfg.val_interval': 4}
    first = run(tmp_path, options, amp='on')
    assert first['precision'] == 'bf16' and torch._dynamo.utils.counters['frames']['total'] > 0
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_4.pth'))
    assert run(tmp_path, options, amp='on', resume=True)['metrics'] == first['metrics']
