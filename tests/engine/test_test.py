import pytest
import torch
from mmengine.runner import Runner
from tiny_scans import CONFIG, random_network, save, scan_options, score_scans

from octfluid.engine import run as engine
from octfluid.engine.config import load_config
from octfluid.models.resample import resize
from octfluid.records.record import read_record
from octfluid.utils.errors import InputError


def counts(record):
    return [{key: value for key, value in row.items() if key != 'extra'} for row in record['images']]


def test_test_agrees_with_the_validation(whole, score, tmp_path):
    record = score(whole[0] / 'iter_12.pth', tmp_path)
    assert counts(record) == counts(whole[1]) and record['split_sha256'] == whole[1]['split_sha256']
    assert (record['kind'], record['variant'], record['iterations'], record['init']) == ('test', '', 12, None)
    assert record['checkpoint_sha256'] == whole[1]['checkpoint_sha256'] and record['config_sha256'] == whole[1]['config_sha256']


def test_scores_of_other_splits_say_so(whole, score, tmp_path):
    assert score(whole[0] / 'iter_12.pth', tmp_path, split='other')['variant'] == 'trained-on-heldout'
    assert len(score(whole[0] / 'iter_12.pth', tmp_path, split='all')['images']) == 12


def test_overlays(whole, score, tmp_path):
    record = score(whole[0] / 'iter_12.pth', tmp_path / 'out', show_dir=str(tmp_path / 'show'))
    assert sorted(path.stem for path in (tmp_path / 'show').iterdir()) == [row['name'] for row in record['images']]


@pytest.fixture(scope='module')
def members(phantoms, tmp_path_factory):
    folder, options = tmp_path_factory.mktemp('members'), scan_options(phantoms)
    networks = [random_network(options, seed) for seed in (0, 1)]
    paths = [save(network, folder / f'{number}.pth') for number, network in enumerate(networks)]
    return networks, paths, options


def test_ensemble_scores_the_mean_probability(members, tmp_path):
    networks, paths, options = members
    record = score_scans(paths, tmp_path / 'out', options)
    assert record['variant'] == 'ensemble2'
    loader = Runner.build_dataloader(dict(load_config(CONFIG, options, split='heldout').test_dataloader))
    for sample, row in zip(loader, record['images'], strict=True):
        with torch.no_grad():
            scan = sample['inputs'][0][None, :1].float()
            mean = sum(network.foreground(scan) for network in networks) / 2
        assert int((resize(mean, 64, 64)[0, 0] > 0.5).sum()) == row['tp'] + row['fp']


def test_members_and_mirrors_count_once(members, whole, score, tmp_path):
    _, paths, options = members
    with pytest.raises(InputError, match='0.pth'):
        score_scans([paths[0], paths[0]], tmp_path / 'out', options)
    with pytest.raises(InputError, match='mirror'):
        score_scans(paths[:1], tmp_path / 'out', options, tta=True)
    assert score(whole[0] / 'iter_12.pth', tmp_path / 'tta', tta=True)['variant'] == 'tta'


def test_tta_of_the_config_is_honoured(whole, tiny, tmp_path):
    cfg = tiny()
    cfg.tta_model = dict(type='SegTTAModel')
    flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)]
    steps = [flips, [dict(type='LoadAnnotations')], [dict(type='PackFluidInputs')]]
    cfg.tta_pipeline = [dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=steps)]
    record = read_record(engine.test(cfg, [str(whole[0] / 'iter_12.pth')], str(tmp_path), tta=True))
    assert record['variant'] == 'tta' and len(record['images']) == 4
