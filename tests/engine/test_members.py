"""The checkpoints of a test: one, or the members of an ensemble; and tests that average over mirror images."""

import hashlib
import shutil

import cv2
import numpy as np
import pytest
import torch
from checkpoint_changes import of_split
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from tiny_scans import CONFIG, random_network, save, scan_options, score_scans

from octfluid.engine import ensemble as members
from octfluid.engine import training
from octfluid.engine.config import load_config
from octfluid.records.record import file_sha256, read_record
from octfluid.utils.errors import InputError

SMOKE = CONFIG.parents[1] / 'smoke' / 'phantom.py'
LAST = 'iter_12.pth'
FOLDERS = ('images', 'annotations')


@pytest.fixture
def options(phantoms):
    return scan_options(phantoms)


@pytest.fixture
def pair(options, tmp_path):
    """Two networks and their checkpoints."""
    networks = [random_network(options, seed) for seed in (1, 2)]
    return networks, [str(save(network, tmp_path / f'{index}.pth')) for index, network in enumerate(networks)]


def test_the_digest_of_one_is_the_file_s_and_that_of_several_has_no_order(tmp_path):
    paths = []
    for name in ('a', 'b', 'c'):
        (tmp_path / name).write_text(name)
        paths.append(str(tmp_path / name))
    assert members.sha256(paths[:1]) == file_sha256(paths[0])
    digests = sorted(hashlib.sha256(name).hexdigest() for name in (b'a', b'b', b'c'))
    expected = hashlib.sha256('\n'.join(digests).encode()).hexdigest()
    assert {members.sha256(order) for order in (paths, paths[::-1], paths[1:] + paths[:1])} == {expected}
    assert members.sha256(paths[:2]) != expected


def test_an_ensemble_of_another_segmentor_is_refused(tiny_options, pair):
    cfg = load_config(SMOKE, tiny_options)
    assert len(members.read(pair[1][:1], cfg)) == 1
    with pytest.raises(InputError, match=r'2 checkpoints: .*phantom\.py has EncoderDecoder') as caught:
        members.read(pair[1], cfg)
    assert '\n' not in str(caught.value)


def test_the_same_weights_twice_are_refused(options, pair, tmp_path):
    copy = shutil.copy(pair[1][0], tmp_path / 'copy.pth')
    with pytest.raises(InputError, match=r'copy\.pth: the same weights as .*0\.pth'):
        members.read([*pair[1], str(copy)], load_config(CONFIG, options))


def test_members_of_different_splits_are_refused(options, pair, tmp_path):
    networks, paths = pair
    cfg = load_config(CONFIG, options)
    same, other = (str(save(networks[1], tmp_path / f'{split}.pth', **of_split(split))) for split in ('heldout', 'other'))
    assert len(members.read([paths[0], same], cfg)) == 2  # the first does not say, and is taken for the config's
    with pytest.raises(InputError, match=r'other\.pth: trained with split other, but .*0\.pth with heldout'):
        members.read([paths[0], other], cfg)


@pytest.mark.parametrize(('change', 'said'), [('config', 'config settings of digest'), ('iter', 'iterations: 8')])
def test_members_of_different_configs_or_lengths_are_refused(options, pair, tmp_path, change, said):
    paths = []
    for index, network in enumerate(pair[0]):
        origin = of_split('heldout')
        origin['run']['settings']['config'] = f'{index if change == "config" else 0}' * 64
        origin['meta']['iter'] += index * (change == 'iter')
        paths.append(str(save(network, tmp_path / f'{index}.pth', **origin)))
    with pytest.raises(InputError, match=rf'1\.pth: trained with {said}'):
        members.read(paths, load_config(CONFIG, options))


def test_a_member_of_another_architecture_is_refused(options, pair, tmp_path, hurry, on_cpu):
    wider = save(random_network({**options, 'model.backbone.channels': (4, 6)}, 0), tmp_path / 'wider.pth')
    with pytest.raises(InputError, match=r'wider\.pth: made for another architecture'):
        score_scans([pair[1][0], wider], tmp_path / 'out', options)
    assert not (tmp_path / 'out').exists()


@torch.no_grad()
def counts_of(networks, root, names):
    """True and false positives of the mean probability, straight from the files."""
    found = []
    for name in names:
        scan, mask = (cv2.imread(str(root / f'native/{kind}/{name}.png'), cv2.IMREAD_UNCHANGED) for kind in FOLDERS)
        inputs = torch.from_numpy(scan if scan.ndim == 2 else scan[..., 0]).float()[None, None]
        sample = SegDataSample(gt_sem_seg=PixelData(data=torch.from_numpy(mask)[None]))
        each = [network.predict(inputs, [sample.clone()])[0].fluid_probability.data[0].numpy() for network in networks]
        fluid = np.mean(each, axis=0) > 0.5
        found.append((int((fluid & (mask == 1)).sum()), int((fluid & (mask == 0)).sum())))
    return found


def test_an_ensemble_is_scored_by_its_mean_probability(options, pair, phantoms, tmp_path, hurry, on_cpu):
    networks, paths = pair
    record = score_scans(paths[::-1], tmp_path / 'out', options)
    names = [row['name'] for row in record['images']]
    assert len(names) == 4
    expected = counts_of(networks, phantoms, names)
    assert sum(tp for tp, _ in expected) > 0, 'scores without any hit would hide mistakes'
    assert all(expected != counts_of([network], phantoms, names) for network in networks)
    assert [(row['tp'], row['fp']) for row in record['images']] == expected
    assert (record['variant'], record['checkpoint_sha256']) == ('ensemble2', members.sha256(paths))
    assert (tmp_path / 'out' / 'test_heldout_other_0i_seed0_ensemble2.json').is_file()


def test_mirror_images_twice_over_are_refused(options, pair, tmp_path):
    with pytest.raises(InputError, match=r'--tta: .*compact\.py averages over mirror images already'):
        score_scans(pair[1][:1], tmp_path / 'out', options, tta=True)
    assert not (tmp_path / 'out').exists()


def test_variants_of_a_test_are_joined(options, pair, tmp_path, hurry, on_cpu):
    networks, _ = pair
    paths = [save(network, tmp_path / f'o{index}.pth', **of_split('other')) for index, network in enumerate(networks)]
    record = score_scans(paths, tmp_path / 'out', {**options, 'model.mirror': False}, tta=True)
    assert record['variant'] == 'trained-on-other+ensemble2+tta'
    assert (record['iterations'], record['seed']) == (7, 3)


def test_averaged_over_mirror_images_a_mirrored_data_set_scores_the_same(tiny_options, whole, phantoms, tmp_path):
    mirrored = shutil.copytree(phantoms, tmp_path / 'data')
    for path in [path for kind in FOLDERS for path in (mirrored / 'native' / kind).glob('*.png')]:
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:, ::-1])

    def record_of(root, tta):
        options, out = {**tiny_options, 'data_root': str(root)}, tmp_path / f'{root.name}_{tta}'
        request = training.Request(str(SMOKE), str(out), options)
        return read_record(training.test(load_config(SMOKE, options), request, str(whole[0] / LAST), tta=tta))

    def counts(record):
        return [[row[key] for key in ('tp', 'fp', 'fn', 'tn')] for row in record['images']]

    usual = record_of(phantoms, True)
    assert counts(record_of(mirrored, True)) == counts(usual)
    assert counts(record_of(mirrored, False)) != counts(whole[1])  # nothing but the mean makes it so
    assert counts(usual) != counts(whole[1])
    assert usual['variant'] == 'tta'
    assert list((tmp_path / 'phantom_True').glob('test_heldout_scratch_12i_seed0_tta.json'))
