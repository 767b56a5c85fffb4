import zipfile

import pytest
import torch
from checkpoint_changes import changes, of_split
from safetensors.torch import save_file
from torch import nn

from octfluid.engine.checkpoint import read_checkpoint
from octfluid.engine.checkpoint_schema import checked_content
from octfluid.utils.errors import InputError


def small_model():
    return nn.ModuleDict({'stem': nn.Conv2d(3, 4, 3), 'norm': nn.BatchNorm2d(4)})


def test_changed_entries_of_our_own_are_refused_in_one_line(tmp_path):
    content = {'state_dict': small_model().state_dict(), **of_split()}
    assert checked_content(content, 'x')['run'] == content['run']
    refused = set()
    for what, make in changes(content):
        try:
            checked_content(make(), 'x.pth')
        except InputError as error:
            assert str(error).startswith('x.pth: ') and '\n' not in str(error) and len(str(error)) < 400
            refused.add(what)
    needed = [f'run.{key}' for key in content['run']] + [f'run.settings.{key}' for key in content['run']['settings']]
    assert {f'{key} dropped' for key in (*needed, 'meta', 'meta.iter')} <= refused
    assert {f'state_dict.stem.weight = {kind}' for kind in ('sparse', 'meta', 'complex', 'petabytes', 'itself')} <= refused
    assert not {what for what in refused if what in ('run dropped', 'run.init = None', 'state_dict.stem.bias dropped')}


def test_what_others_say_of_their_training_is_no_hindrance(tmp_path):
    path = tmp_path / 'theirs.pth'
    meta = {'iter': 40_000, 'seed': 'x', 'config': 'print()', 'env': {1: [torch.zeros(1)]}}
    torch.save({'state_dict': small_model().state_dict(), 'meta': meta, 'optimizer': 5, 'message_hub': []}, path)
    assert {key: value for key, value in read_checkpoint(path).items() if key != 'state_dict'} == {'meta': {'iter': 40_000}}
    torch.save({'state_dict': small_model().state_dict(), 'meta': None}, path)
    assert read_checkpoint(path)['meta'] == {}


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_tensors_that_no_network_takes_are_refused(suffix, tmp_path):
    path = tmp_path / f'weights{suffix}'
    weights = {'a': torch.zeros(2, dtype=torch.complex64)}
    torch.save(weights, path) if suffix == '.pth' else save_file(weights, path)
    with pytest.raises(InputError, match=r': a is a tensor that is torch.strided, torch.complex64; expected a dense one'):
        read_checkpoint(path)


def test_a_bit_that_changed_in_the_weights_is_noticed(tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save({'a': torch.ones(1000)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.ones(9).numpy().tobytes()) + 8] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)['a'][2] != 1, 'torch would see it, too'
    with pytest.raises(InputError, match=r'weights\.pth: is damaged, the sum of its part .* is wrong'):
        read_checkpoint(path)


def test_a_compressed_checkpoint_is_refused(tmp_path):
    torch.save({'a': torch.zeros(10**6)}, tmp_path / 'plain.pth')
    path = tmp_path / 'packed.pth'
    with zipfile.ZipFile(tmp_path / 'plain.pth') as plain, zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(InputError, match=r'packed\.pth: refused, it is compressed'):
        read_checkpoint(path)
