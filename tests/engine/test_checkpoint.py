import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from octfluid.engine.checkpoint import describe_weights, fit, last_checkpoint, read_checkpoint
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError


def network():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))


def as_mmsegmentation_1(path):
    """Write what mmengine's Runner saves, message hub and all."""
    buffer = HistoryBuffer([0.5, 0.25], [1, 1])
    hub = dict(log_scalars={'train/loss': buffer}, runtime_info={'iter': 2}, resumed_keys={'train/loss': True})
    meta = dict(epoch=0, iter=2, cfg='model = 1', dataset_meta=dict(classes=('a', 'b'), palette=np.zeros((2, 3), np.uint8)),
                seed=np.int64(3), best=np.float64(0.5))  # fmt: skip
    torch.save(dict(meta=meta, state_dict=OrderedDict(network().state_dict()), message_hub=hub), path)


def as_mmsegmentation_0(path):
    """Write what mmcv's runner saved: no message hub, class names in the meta information, the old ZIP-less format."""
    meta = dict(env_info='...', CLASSES=('a', 'b'), PALETTE=[[0, 0, 0], [1, 1, 1]], epoch=1, iter=40000)
    content = dict(
        meta=meta, state_dict=OrderedDict((f'module.{k}', v) for k, v in network().state_dict().items()), optimizer={}
    )
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize('write', [as_mmsegmentation_0, as_mmsegmentation_1])
def test_checkpoints_of_mmsegmentation_are_read(tmp_path, write):
    write(tmp_path / 'a.pth')
    content = read_checkpoint(tmp_path / 'a.pth')
    assert len(fit(content['state_dict'], network(), 'a')) == len(network().state_dict())
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), 'cpu')['meta']['iter'] == content['meta']['iter']


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('zipped', [True, False])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path, zipped):
    path, made = tmp_path / 'a.pth', tmp_path / 'made'
    torch.save({'state_dict': network().state_dict(), 'x': Malicious(made)}, path, _use_new_zipfile_serialization=zipped)
    for load in (read_checkpoint, lambda name: CheckpointLoader.load_checkpoint(str(name), 'cpu')):
        with pytest.raises(InputError, match='a.pth'):
            load(path)
    assert not made.exists()


def test_damaged_files_half_a_download_and_arrays_of_objects_are_refused(tmp_path):
    path = tmp_path / 'a.pth'
    as_mmsegmentation_1(path)
    half = path.read_bytes()[: path.stat().st_size // 2]
    # A forged array of objects would hold addresses that numpy follows.
    torch.save({'state_dict': network().state_dict(), 'meta': np.array([None], dtype=object)}, path)
    for content in (path.read_bytes(), half, b'', b'<!doctype html>', pickle.dumps(5), b'PK\x03\x04broken'):
        path.write_bytes(content)
        with pytest.raises(InputError, match='a.pth'):
            read_checkpoint(path)


def test_what_train_writes_is_plain(whole):
    """Any program reads it with `weights_only=True`, without mmengine's types."""
    content = torch.load(whole[0] / 'iter_12.pth', weights_only=True)
    assert {'meta', 'state_dict', 'optimizer', 'param_schedulers', 'message_hub'} <= content.keys()


@pytest.mark.parametrize(
    'name', ['pspnet_unet_s5-d16_256x256_40k_hrf_20201227_181818-{}.pth', 'pspnet_unet_s5-d16_8k_hrf-{}.pth']
)
def test_source_is_believed_only_with_the_digits_of_the_name(tmp_path, name):
    as_mmsegmentation_1(tmp_path / 'a.pth')
    digest = file_sha256(tmp_path / 'a.pth')
    right, wrong = tmp_path / name.format(digest[:8]), tmp_path / name.format('0' * 8)
    for path in (right, wrong):
        path.write_bytes((tmp_path / 'a.pth').read_bytes())
    expected = 'hrf-zoo' if '40k_hrf_2020' in name else 'hrf-own'
    assert describe_weights(str(right), 9, 9)['source'] == expected and describe_weights(str(wrong), 9, 9)['source'] == 'other'


@pytest.mark.parametrize('change', ['missing', 'unexpected', 'shape', 'nan'])
def test_weights_that_do_not_fit_are_named(change):
    state = dict(network().state_dict())
    if change == 'missing':
        del state['0.weight']
    elif change == 'unexpected':
        state['2.weight'] = torch.zeros(1)
    else:
        state['0.weight'] = torch.zeros(1) if change == 'shape' else state['0.weight'] * float('nan')
    with pytest.raises(InputError, match='2.weight' if change == 'unexpected' else '0.weight'):
        fit(state, network(), 'a.pth')


def test_last_checkpoint_of_a_folder_that_was_moved(tmp_path):
    assert last_checkpoint(tmp_path) is None
    (tmp_path / 'iter_3.pth').touch()
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/iter_3.pth')
    assert last_checkpoint(tmp_path) == tmp_path / 'iter_3.pth'
