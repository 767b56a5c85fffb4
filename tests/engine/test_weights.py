import pytest
import torch

from octfluid.engine.checkpoint import read_checkpoint
from octfluid.records.record import file_sha256
from octfluid.utils.errors import InputError

LAST = 'iter_12.pth'


def test_initial_weights_are_loaded_and_recorded(run, whole, weights, tmp_path):
    still = {'train_cfg.max_iters': 1, 'optim_wrapper.optimizer.lr': 0.0, 'param_scheduler.0.eta_min': 0.0}
    record = run(tmp_path / 'run', still, init=str(weights))
    given = read_checkpoint(whole[0] / LAST)['state_dict']
    assert record['init'] == dict(
        source='other', name='weights.safetensors', sha256=file_sha256(weights), loaded=len(given), total=len(given)
    )
    assert (tmp_path / 'run' / 'train_heldout_other_1i_seed0.json').is_file()
    trained = read_checkpoint(tmp_path / 'run' / 'iter_1.pth')['state_dict']
    learnt = [key for key in given if key.endswith(('.weight', '.bias'))]
    assert len(learnt) > 50
    assert all(torch.equal(trained[key], given[key]) for key in learnt)


@pytest.mark.parametrize('resume', [False, True])
def test_missing_initial_weights_stop_before_anything_is_written(run, tmp_path, resume):
    with pytest.raises(InputError, match='--init none'):
        run(tmp_path / 'run', init='absent.pth', resume=resume)
    assert not (tmp_path / 'run').exists()


WIDER = {'model.decode_head.channels': 6}


def test_initial_weights_of_another_architecture(run, weights, tmp_path):
    with pytest.raises(InputError, match=r'weights\.safetensors: made for another architecture') as caught:
        run(tmp_path / 'run', WIDER, init=str(weights))
    assert '\n' not in str(caught.value)
    assert not list((tmp_path / 'run').glob('*.json'))


def test_checkpoint_of_another_architecture(score, whole, tmp_path):
    with pytest.raises(InputError, match=r'iter_12\.pth: made for another architecture') as caught:
        score(whole[0] / LAST, tmp_path / 'out', WIDER)
    assert '\n' not in str(caught.value)
    assert not list((tmp_path / 'out').glob('*.json'))


def test_testing_repeats_the_last_validation(score, whole, tmp_path):
    folder, record = whole
    tested = score(folder / LAST, tmp_path / 'out')
    assert (tmp_path / 'out' / 'test_heldout_scratch_12i_seed0.json').is_file()
    same = (
        'metrics',
        'images',
        'split_sha256',
        'config_sha256',
        'checkpoint_sha256',
        'iterations',
        'seed',
        'init',
        'overrides',
    )
    assert {key: tested[key] for key in same} == {key: record[key] for key in same}
    assert (tested['kind'], tested['precision'], tested['history']) == ('test', 'fp32', [])


def test_earlier_checkpoint_is_scored_as_what_it_is(score, whole, tmp_path):
    tested = score(whole[0] / 'iter_6.pth', tmp_path / 'out')
    assert tested['iterations'] == 6
    assert tested['images'] != whole[1]['images']


def test_split_without_validation_list_is_scored_on_all_scans(score, whole, tmp_path):
    tested = score(whole[0] / LAST, tmp_path / 'out', split='all')
    assert (tested['split'], tested['variant']) == ('all', 'trained-on-heldout')
    assert [row['subject'] for row in tested['images']] == [1] * 4 + [2] * 4 + [3] * 4
    assert tested['images'][8:] == whole[1]['images']


def test_weights_from_elsewhere_are_their_own_beginning(score, whole, weights, tmp_path):
    tested = score(weights, tmp_path / 'out')
    assert tested['images'] == whole[1]['images']
    assert (tested['init']['source'], tested['init']['name'], tested['iterations']) == ('other', 'weights.safetensors', 0)
