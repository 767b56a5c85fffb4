import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from octfluid.engine.checkpoint import (
    describe_weights,
    find_initial_weights,
    find_own_checkpoints,
    load_initial_weights,
    load_weights,
    read_checkpoint,
)
from octfluid.records.record import file_sha256
from octfluid.utils.errors import InputError

ZOO = 'pspnet_unet_s5-d16_256x256_40k_hrf_20201227_181818-fdb7e29b.pth'


def small_model(seed=0, classes=2):
    """A network with a part named as a decode head: 2 + 5 + 2 tensors."""
    torch.manual_seed(seed)
    head = nn.Module()
    head.conv_seg = nn.Conv2d(4, classes, 1)
    return nn.ModuleDict({'stem': nn.Conv2d(3, 4, 3), 'norm': nn.BatchNorm2d(4), 'decode_head': head})


def same_weights(one, other):
    return all(torch.equal(one[key], other[key]) for key in one.keys() | other.keys())


class Bomb:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('save', [torch.save, lambda content, path: Path(path).write_bytes(pickle.dumps(content))])
def test_code_in_a_checkpoint_never_runs(save, tmp_path):
    trace, path = tmp_path / 'trace', tmp_path / 'evil.pth'
    save({'state_dict': small_model().state_dict(), 'extra': Bomb(trace)}, path)
    with pytest.raises(InputError, match=r'evil\.pth: refused, it is no checkpoint, or holds more than tensors') as caught:
        read_checkpoint(path)
    assert '\n' not in str(caught.value)
    assert not trace.exists()
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())
    assert trace.exists(), 'the file is harmless, so the test above proves nothing'


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('keep', [0, 10, 0.5, 0.99])
def test_truncated_file_is_refused(suffix, keep, tmp_path):
    path = tmp_path / f'weights{suffix}'
    if suffix == '.pth':
        torch.save({'state_dict': small_model().state_dict()}, path)
    else:
        save_file(small_model().state_dict(), path)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize(
    'page', ['<!DOCTYPE html>\n<html><body>404</body></html>', '\n  <HTML>Not found', '<?xml version="1.0"?><Error/>']
)
def test_the_error_page_of_a_server_is_called_one(suffix, page, tmp_path):
    path = tmp_path / f'weights{suffix}'
    path.write_text(page)
    with pytest.raises(InputError, match='is a web page, not a checkpoint'):
        read_checkpoint(path)


@pytest.mark.parametrize('content', [5, [1.0], torch.zeros(2), {'state_dict': 5}, {0: torch.zeros(2)}, {'state_dict': {0: 1}}])
def test_file_without_named_tensors_is_refused(content, tmp_path):
    path = tmp_path / 'odd.pth'
    torch.save(content, path)
    with pytest.raises(InputError, match=r'odd\.pth: holds .*; expected a dict of tensors'):
        read_checkpoint(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r'no checkpoint at .*; expected a \.pth or \.safetensors file'):
        read_checkpoint(tmp_path / 'none.pth')


@pytest.mark.parametrize('form', ['safetensors', 'state_dict', 'bare'])
def test_weights_survive_a_round_trip(form, tmp_path):
    model, other = small_model(), small_model(seed=1)
    path = tmp_path / ('weights.safetensors' if form == 'safetensors' else 'weights.pth')
    if form == 'safetensors':
        save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict() if form == 'bare' else {'state_dict': model.state_dict(), 'meta': {}}, path)
    assert not same_weights(model.state_dict(), other.state_dict())
    assert load_weights(other, read_checkpoint(path)['state_dict'], path.name) == (9, 9)
    assert same_weights(model.state_dict(), other.state_dict())


def test_prefix_of_distributed_training_is_dropped():
    model, other = small_model(), small_model(seed=1)
    assert load_weights(other, {f'module.{key}': value for key, value in model.state_dict().items()}, 'x') == (9, 9)
    assert same_weights(model.state_dict(), other.state_dict())


def change_architecture(state, how):
    if how == 'missing':
        del state['stem.weight'], state['stem.bias']
    elif how == 'unexpected':
        state['neck.weight'] = torch.zeros(1)
    else:
        state['decode_head.conv_seg.weight'] = torch.zeros(3, 4, 1, 1)
    return state


@pytest.mark.parametrize(('how', 'said'), [
    ('missing', '2 missing (first: stem.bias)'),
    ('unexpected', '1 unexpected (first: neck.weight)'),
    ('of another shape', '1 of another shape (first: decode_head.conv_seg.weight)'),
])  # fmt: skip
def test_other_architecture_is_refused_and_changes_nothing(how, said):
    model = small_model(seed=1)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(InputError) as caught:
        load_weights(model, change_architecture(small_model().state_dict(), how), 'zoo.pth')
    message = str(caught.value)
    assert message.startswith(f'zoo.pth: made for another architecture, of 9 tensors {said}; use the config')
    assert same_weights(before, model.state_dict())


def test_declared_heads_start_anew():
    model, given = small_model(seed=1), small_model(classes=7)
    own_head = model.decode_head.conv_seg.weight.clone()
    with pytest.raises(InputError, match='2 of another shape'):
        load_weights(model, given.state_dict(), 'x')
    assert load_weights(model, given.state_dict(), 'x', reinit=['decode_head.conv_seg']) == (7, 9)
    assert torch.equal(model.decode_head.conv_seg.weight, own_head)
    assert torch.equal(model.stem.weight, given.stem.weight)


def test_only_declared_heads_start_anew():
    state = change_architecture(small_model().state_dict(), 'missing')
    with pytest.raises(InputError, match='2 missing'):
        load_weights(small_model(), state, 'x', reinit=['decode_head'])
    with pytest.raises(InputError, match='2 missing'):
        load_weights(small_model(), state, 'x', reinit=['ste'])  # a part of a name is no prefix
    assert load_weights(small_model(), state, 'x', reinit=['stem.'])[0] == 7


def test_missing_initial_weights_name_the_three_ways_on():
    with pytest.raises(InputError) as caught:
        find_initial_weights(['checkpoints/none_*.safetensors', 'none.pth'])
    message = str(caught.value)
    assert 'checkpoints/none_*.safetensors or none.pth' in message
    assert all(way in message for way in ('scripts/download_checkpoints.sh', 'scripts/pretrain_hrf.sh', '--init none'))
    assert '\n' not in message


def test_first_pattern_that_matches_is_taken(tmp_path):
    for name in ('b_1.pth', 'c.pth'):
        (tmp_path / name).touch()
    found = find_initial_weights([f'{tmp_path}/a_*.pth', f'{tmp_path}/b_*.pth', f'{tmp_path}/c.pth'])
    assert found == f'{tmp_path}/b_1.pth'


def test_pattern_that_matches_two_files_is_refused(tmp_path):
    for name in ('b_1.pth', 'b_2.pth'):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r'2 files match .*b_1\.pth.*b_2\.pth.*name one with --init'):
        find_initial_weights([f'{tmp_path}/b_*.pth'])


def test_file_whose_name_looks_like_a_pattern(tmp_path):
    path = tmp_path / 'run[1].pth'
    path.touch()
    assert find_initial_weights([str(path)]) == str(path)


def test_url_needs_no_file():
    assert find_initial_weights(['absent.pth', f'https://example.org/{ZOO}']) == f'https://example.org/{ZOO}'


@pytest.mark.parametrize(('name', 'source'), [
    (ZOO, 'hrf-zoo'),
    ('fcn_unet_s5-d16_256x256_40k_hrf_20201223_173724-d89cf1ed.pth', 'hrf-zoo'),
    ('pspnet_unet_s5-d16_256x256_8k_hrf-0123abcd.pth', 'hrf-own'),
    ('iter_400.pth', 'other'),
])  # fmt: skip
def test_source_follows_from_the_name(name, source, tmp_path):
    path = tmp_path / name
    path.write_bytes(b'weights')
    weights = describe_weights(path, 3, 4)
    assert (weights.source, weights.name, weights.loaded, weights.total) == (source, name, 3, 4)
    assert weights.sha256 == file_sha256(path)


def test_initial_weights_are_described_without_their_folder(tmp_path):
    model, given = small_model(seed=1), small_model()
    torch.save(given.state_dict(), tmp_path / ZOO)
    weights = load_initial_weights(model, [str(tmp_path / '*.pth')], ['decode_head'])
    assert (weights.source, weights.name, weights.loaded, weights.total) == ('hrf-zoo', ZOO, 7, 9)
    assert weights.sha256 == file_sha256(tmp_path / ZOO)
    assert torch.equal(model.stem.weight, given.stem.weight)


def test_url_is_fetched_once_into_torchs_cache(tmp_path, monkeypatch):
    calls = []

    def download(url, target, hash_prefix, progress):
        calls.append((url, hash_prefix))
        torch.save(small_model().state_dict(), target)

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    url = f'https://example.org/{ZOO}'
    for _ in range(2):
        assert load_initial_weights(small_model(), [url]).name == url
    assert calls == [(url, 'fdb7e29b')]
    other = f'https://example.com/{ZOO}?download=1'
    assert load_initial_weights(small_model(), [other]).name == other
    assert calls[1:] == [(other, 'fdb7e29b')]


def test_failed_download_is_one_line(tmp_path, monkeypatch):
    def download(*_, **__):
        raise OSError('no route')

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    with pytest.raises(InputError, match=r'could not be fetched \(no route\); download it by hand and pass --init PATH'):
        load_initial_weights(small_model(), ['https://example.org/weights.pth'])


def test_own_checkpoints_latest_first(tmp_path):
    for name in ('iter_4.pth', 'iter_100.pth', 'iter_20.pth', 'iter_x.pth', 'best_iter_7.pth', '.tmp-1-iter_9.pth'):
        (tmp_path / name).touch()
    assert [path.name for path in find_own_checkpoints(tmp_path)] == ['iter_100.pth', 'iter_20.pth', 'iter_4.pth']
    assert find_own_checkpoints(tmp_path / 'absent') == []


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_no_numbers_are_refused_and_nothing_is_loaded(value):
    model = torch.nn.Linear(2, 1)
    before = model.weight.detach().clone()
    with pytest.raises(InputError, match=r'w\.pth: bias holds NaN or infinite values'):
        load_weights(model, {'weight': torch.ones(1, 2), 'bias': torch.tensor([value])}, 'w.pth')
    assert torch.equal(model.weight, before)


def test_weights_beyond_the_range_of_the_network_are_refused():
    with pytest.raises(InputError, match=r'w\.pth: bias holds NaN or infinite values'):
        load_weights(nn.Linear(2, 1), {'weight': torch.ones(1, 2), 'bias': torch.tensor([1e300], dtype=torch.float64)}, 'w.pth')
