import json
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.device import utils as device_utils
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from PIL import Image

from octfluid.datasets.fluid_dataset import FluidDataset
from octfluid.engine.config import load_config
from octfluid.records import record as records
from octfluid.records.fingerprint import config_sha256
from octfluid.records.record import file_sha256
from octfluid.utils.errors import InputError, WorkError
from octfluid.visualization import gallery
from octfluid.visualization.gallery import choose, picture_name

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'smoke' / 'phantom.py'
LAST = 'iter_12.pth'
RECORD = 'train_heldout_scratch_12i_seed0.json'
EXTRA = {'surface_dice_1px', 'surface_dice_2px', 'hd95_px', 'pockets'}


def test_record_tells_the_run(whole, tiny_options):
    folder, record = whole
    assert (folder / RECORD).is_file()
    assert record['kind'] == 'train'
    assert record['config'] == 'configs/smoke/phantom.py'
    told = {key: value for key, value in tiny_options.items() if key != 'data_root'}  # where files lie decides nothing
    assert record['overrides'] == json.loads(json.dumps(told))
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
    losses = torch.load(folder / LAST, weights_only=True)['message_hub']['scalars']['train/loss']['values']
    assert len(losses) == 12
    assert [point['iteration'] for point in record['history']] == [10, 12]
    assert [point['loss'] for point in record['history']] == [losses[:10].mean().item(), losses[2:].mean().item()]
    rates = [(0.01 - 1e-5) * (1 - done / 149) ** 0.9 + 1e-5 for done in (9, 11)]
    assert [point['lr'] for point in record['history']] == pytest.approx(rates, rel=1e-6)


def test_checkpoints_hold_tensors_and_plain_values_only(whole):
    for name in ('iter_6.pth', LAST):
        content = torch.load(whole[0] / name, weights_only=True)
        assert {'state_dict', 'optimizer', 'param_schedulers', 'message_hub', 'meta', 'run'} <= content.keys()
    assert content['meta']['iter'] == 12
    assert content['run']['init'] is None


def test_nothing_temporary_is_left(whole):
    names = {path.name for path in whole[0].iterdir() if path.is_file()}
    pictures = {picture_name(Path(RECORD).stem, name) for name in choose(whole[1]['images']).values()}
    assert names == {'iter_6.pth', LAST, 'last_checkpoint', 'phantom.py', 'data.json', RECORD, *pictures}


def test_pictures_beside_the_record_are_those_of_its_test(whole, score, tmp_path):
    folder, record = whole
    chosen = choose(record['images'])
    assert chosen.keys() == {'best', 'median', 'worst', 'false'}
    tested = score(folder / LAST, tmp_path / 'out')
    assert [row['extra'] for row in tested['images']] == [row['extra'] for row in record['images']]
    assert all(row['extra'].keys() == EXTRA for row in record['images'])
    for name in chosen.values():
        trained, again = (
            next(place.glob(f'{kind}_*.{name}.png')) for place, kind in ((folder, 'train'), (tmp_path / 'out', 'test'))
        )
        assert trained.read_bytes() == again.read_bytes()
        assert trained.stat().st_size < 100_000
        with Image.open(trained) as picture:
            assert picture.width == 512


def test_pictures_that_cannot_be_written_cost_no_record(whole, score, tmp_path, monkeypatch):
    def full_disk(path, content):
        raise OSError(28, 'No space left on device', str(path))

    monkeypatch.setattr(gallery, 'write_bytes', full_disk)
    record = score(whole[0] / LAST, tmp_path / 'out')
    assert record['images'] == whole[1]['images']
    assert not list((tmp_path / 'out').glob('*.png'))
    log = next((tmp_path / 'out').glob('*/*.log')).read_text()
    assert 'test_heldout_scratch_12i_seed0.json is written, but not all of the pictures beside it: [Errno 28] No space' in log


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
def test_mixed_precision_on_a_cpu(run, spy, tmp_path, amp, dtype, name):
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
def test_training_on_a_gpu(run, tmp_path, monkeypatch, amp):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(device_utils, 'DEVICE', 'cuda')
    record = run(tmp_path / 'run', amp=amp)
    assert record['device'] == torch.cuda.get_device_name()
    assert record['precision'] == ('bf16' if amp else 'fp32')


@pytest.mark.parametrize(('options', 'said'), [
    ({'optim_wrapper.optimizer.type': 'NoSuchOptimizer'}, "no optimizer 'NoSuchOptimizer'"),
    ({'optim_wrapper.optimizer.wd': 1}, "unexpected keyword argument 'wd'"),
    ({'train_dataloader.dataset.pipeline.2.type': 'RandomCorp'}, 'RandomCorp is not in'),
    ({'model.decode_head.type': 'NoSuchHead'}, 'NoSuchHead is not in'),
])  # fmt: skip
def test_what_cannot_be_built_is_one_line(run, tmp_path, options, said):
    with pytest.raises(InputError, match=r'phantom\.py: cannot be built, ') as caught:
        run(tmp_path / 'run', options)
    assert said in str(caught.value)
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'run').exists()


LOST = 'scan.png: No such file or directory; expected an image'


@pytest.fixture
def lose(monkeypatch):
    """Make every sample raise an error once a file exists, in loader workers too; returns what undoes it."""

    def patch(error, once):
        whole_sample = FluidDataset.__getitem__

        def sample(self, item):
            if once.exists():
                raise error(LOST)
            return whole_sample(self, item)

        monkeypatch.setattr(FluidDataset, '__getitem__', sample)
        return lambda: monkeypatch.setattr(FluidDataset, '__getitem__', whole_sample)

    return patch


@pytest.mark.parametrize(('workers', 'error'), [(0, InputError), (1, InputError), (1, FileNotFoundError)])
def test_scan_that_is_lost_during_training_costs_no_checkpoint(run, whole, lose, tmp_path, workers, error):
    folder, options = tmp_path / 'run', {'train_dataloader.num_workers': workers}
    put_back = lose(error, folder / 'iter_6.pth')
    with pytest.raises(WorkError) as caught:
        run(folder, options)
    assert str(caught.value) == f'{LOST}; with this put right, --resume goes on from the last checkpoint'
    assert (folder / 'iter_6.pth').is_file()
    put_back()
    assert run(folder, options, resume=True)['images'] == whole[1]['images']


def test_scan_that_is_lost_during_scoring(run, score, whole, lose, tmp_path):
    (tmp_path / 'kept').mkdir()
    put_back = lose(InputError, tmp_path / 'kept')
    with pytest.raises(WorkError) as caught:
        score(whole[0] / LAST, tmp_path / 'out', {'val_dataloader.num_workers': 1})
    assert str(caught.value) == LOST
    assert list((tmp_path / 'out').glob('*/*.log'))
    put_back()
    (tmp_path / 'run').mkdir()
    for path in (LAST, 'last_checkpoint'):
        shutil.copy(whole[0] / path, tmp_path / 'run')
    lose(InputError, tmp_path / 'kept')  # all that this resumed run has left to do is scoring
    with pytest.raises(WorkError, match=r'scan\.png: No such file'):
        run(tmp_path / 'run', {'val_dataloader.num_workers': 1}, resume=True)


@pytest.mark.parametrize('there_before', [False, True])
def test_weights_that_do_not_fit_leave_no_trace(run, weights, tmp_path, there_before):
    if there_before:
        (tmp_path / 'run').mkdir()
    with pytest.raises(InputError, match='made for another architecture'):
        run(tmp_path / 'run', {'model.decode_head.channels': 6}, init=str(weights))
    assert (tmp_path / 'run').exists() == there_before


def test_work_dir_that_is_a_file(run, tmp_path):
    (tmp_path / 'file').write_text('mine')
    for place in (tmp_path / 'file', tmp_path / 'file' / 'below'):
        with pytest.raises(InputError, match=r'--work-dir .*file is a file; expected a folder'):
            run(place)
    assert (tmp_path / 'file').read_text() == 'mine'


def test_unsound_data_stop_before_anything_is_written(run, phantoms, tmp_path):
    import cv2

    shutil.copytree(phantoms, tmp_path / 'data')
    mask = tmp_path / 'data' / 'native' / 'annotations' / 's03_z01.png'
    cv2.imwrite(str(mask), cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) * 255)
    for data, said in (('data', r's03_z01\.png.*255'), ('absent', 'no such data set')):
        with pytest.raises(InputError, match=said) as caught:
            run(tmp_path / 'run', {'data_root': str(tmp_path / data)})
        assert '\n' not in str(caught.value)
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
