import cv2
import pytest
import torch

from octfluid.engine.misfit import FAILURES, cause_of, naming_misfits
from octfluid.utils.errors import InputError, WorkError

SLIDE = {'mode': 'slide', 'crop_size': (1, 1), 'stride': (1, 1)}
CANNOT, STEP = r'phantom\.py: cannot be built, ', r'phantom\.py: training cannot begin, '
SCORING = r'phantom\.py: scoring, which follows the training, would fail, '


@pytest.mark.parametrize(('options', 'said'), [
    ({'model.backbone.base_channels': -4}, CANNOT),
    ({'model.decode_head.loss_decode.0.type': 'NoSuchLoss'}, rf'{CANNOT}KeyError: .*NoSuchLoss'),
    ({'model.backbone.norm_cfg.type': 'X'}, rf'{CANNOT}KeyError: '),
    ({'param_scheduler.0.end': 1, 'param_scheduler.0.begin': 1}, rf'{STEP}end should be larger than begin.*; look at how'),
    ({'model.decode_head.loss_decode.0.class_weight': [1]}, rf'{STEP}RuntimeError: '),
    ({'train_dataloader.dataset.pipeline.2.crop_size': (1, 1)}, r's0\d_z0\d: the train pipeline makes no sample of it .*Value'),
    ({'model.init_cfg': {'type': 'Pretrained', 'checkpoint': 'no.pth'}}, 'names a file that is not there, no.pth'),
    ({'model.decode_head.in_channels': 5}, SCORING),
    ({'val_dataloader.dataset.pipeline': []}, rf"{SCORING}KeyError: 'inputs'"),
    ({'model.test_cfg': SLIDE}, SCORING),
])  # fmt: skip
def test_settings_that_do_not_fit_are_bad_input_and_leave_no_trace(run, tmp_path, options, said):
    with pytest.raises(InputError, match=said) as caught:
        run(tmp_path / 'work', options)
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'work').exists()


def test_scoring_that_does_not_fit_is_refused_when_testing(score, weights, tmp_path):
    with pytest.raises(InputError, match=r'phantom\.py: scoring cannot begin, '):
        score(weights, tmp_path / 'out', {'model.test_cfg': SLIDE})
    assert not (tmp_path / 'out').exists()


def test_a_folder_that_was_there_before_stays(run, tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(InputError, match='training cannot begin'):
        run(tmp_path, {'param_scheduler.0.type': 'X'})
    assert (tmp_path / 'notes.txt').read_text() == 'mine'


def test_what_fails_after_a_step_has_worked_is_a_bug_and_keeps_its_traceback(run, tmp_path, monkeypatch):
    from octfluid.engine.hooks import StepSeedHook

    seed = StepSeedHook.before_train_iter

    def fail_later(hook, runner, *args, **kwargs):
        if runner.iter == 2:
            raise ValueError('a bug')
        seed(hook, runner, *args, **kwargs)

    monkeypatch.setattr(StepSeedHook, 'before_train_iter', fail_later)
    with pytest.raises(ValueError, match='a bug'):
        run(tmp_path / 'work')
    assert (tmp_path / 'work').exists()


@pytest.mark.parametrize('error', [cv2.error('x'), KeyError('x'), ZeroDivisionError('x'), RuntimeError('x\n y')])
def test_a_misfit_names_what_cannot_be_done_and_why(error):
    with (
        pytest.raises(InputError, match=rf'^mine: cannot be built, {cause_of(error)}$'),
        naming_misfits('mine: cannot be built'),
    ):
        raise error


def test_what_is_no_misfit_passes():
    others = [torch.OutOfMemoryError('no memory'), WorkError('full'), OSError('gone'), KeyboardInterrupt()]
    for error in others:
        with pytest.raises(type(error)), naming_misfits('mine'):
            raise error
    assert Exception not in FAILURES


def test_of_a_worker_its_own_message_is_shown():
    error = ValueError(
        'Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\nValueError: no fit'
    )
    assert cause_of(error) == 'no fit'
    assert cause_of(KeyError('img')) == "KeyError: 'img'"
    assert cause_of(ValueError()) == 'ValueError: '
    with pytest.raises(InputError, match=r'^mine, ValueError at: raise ValueError  # what'), naming_misfits('mine'):
        raise ValueError  # what did not hold


def test_a_step_that_acts_on_some_samples_only_is_named_when_it_does(run, tmp_path):
    steps = [
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
        dict(type='RandomRotate', prob=0.2, degree=5, pad_val='x'), dict(type='PackFluidInputs'),
    ]  # fmt: skip
    with pytest.raises(
        (WorkError, InputError), match=r's0\d_z0\d: the train pipeline makes no sample of it \(.*check its steps'
    ):
        run(tmp_path / 'work', {'train_dataloader.dataset.pipeline': steps, 'train_dataloader.batch_size': 1})
