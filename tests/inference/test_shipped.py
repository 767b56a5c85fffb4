"""The model that comes with the package is what its card, its weights and the records say it is."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from octfluid.engine.checkpoint import origin_of
from octfluid.engine.config import load_config
from octfluid.engine.export import MOST_DIFFERENT_PIXELS, compare, load_network, require_same_training
from octfluid.inference.model import ScanModel, shipped_model
from octfluid.io.duke_mat import read_subject
from octfluid.records.record import read_records, to_run
from octfluid.reporting.model_card import describe_training, render_card, scores_of
from octfluid.utils.digest import file_sha256

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/duke_dme/compact.py'
RECORDS = ROOT / 'docs/results/records/recipes'


@pytest.fixture(scope='module')
def model():
    return ScanModel(threads=1)


@pytest.fixture(scope='module')
def weights():
    (path,) = (ROOT / 'checkpoints/duke_dme').glob('fcn_plain-unet_*.pth')
    return path


def test_it_is_small_and_says_what_weights_it_holds(model, weights):
    assert shipped_model().stat().st_size <= 8e6
    card = json.loads(weights.with_suffix('.json').read_text())
    assert card['sha256'] == file_sha256(weights) and weights.stem.endswith(card['sha256'][:8])
    assert model.info.weights_sha256 == card['same_as']['sha256']  # the same tensors, as they were exported
    assert origin_of(weights, {}).split == 'all'
    network = load_network(load_config(CONFIG), weights)
    assert sum(parameter.numel() for parameter in network.parameters()) <= 2_000_000


def test_its_scores_are_those_of_the_committed_records(model):
    validated = read_records([RECORDS / 'compact', RECORDS / 'compact_paper256'])
    # A recipe that has changed since needs a new model and new records.
    require_same_training(load_config(CONFIG), validated)
    expected = scores_of([to_run(path, record) for path, record in validated])
    assert model.info.scores == expected
    protocols = {(score['protocol'], score['patients_seen']) for score in expected}
    assert {('leave-one-subject-out', False), ('paper', True)} <= protocols


def test_its_card_is_written_from_the_file(model, weights):
    origin = origin_of(weights, {})
    trained_on = describe_training(origin.split, 'configs/duke_dme/compact.py', origin.iterations, origin.seed)
    assert trained_on == 'all scans of the data set (split `all`), with `configs/duke_dme/compact.py`, 900 iterations, seed 0'
    assert shipped_model().with_suffix('.md').read_text() == render_card(model.info, shipped_model().name, trained_on)


def test_the_record_of_its_training_is_committed(weights):
    card = (weights.with_suffix('.json')).read_text()
    (record,) = (record for _, record in read_records([RECORDS / 'compact']) if record['split'] == 'all')
    assert record['checkpoint_sha256'] in card and record['images'] == []


def test_it_gives_the_masks_of_its_network_on_noise(model, weights):
    noise = [np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8) for size in ((496, 768), (201, 333))]
    agreement = compare(load_network(load_config(CONFIG), weights), model, noise, real=False)
    assert agreement.difference < 1e-4


@pytest.mark.slow
def test_it_gives_the_masks_of_its_network_on_every_fifth_graded_scan(model, weights):
    folder = os.environ.get('OCTFLUID_SHARED_DATA')
    if not folder or not (Path(folder) / 'duke_dme/mat').is_dir():
        pytest.skip('OCTFLUID_SHARED_DATA names no folder with duke_dme/mat')
    scans = []
    for path in sorted((Path(folder) / 'duke_dme/mat').glob('Subject_*.mat')):
        volume = read_subject(path)
        scans += [np.ascontiguousarray(volume.images[:, :, z]) for z in volume.graded_slices]
    assert len(scans) == 110
    scans = scans[::5]
    network = load_network(load_config(CONFIG), weights)
    agreement = compare(network, model, scans, real=True)
    assert agreement.pixels <= MOST_DIFFERENT_PIXELS and agreement.difference < 1e-3
    # Fluid is found at all: an empty mask agrees with an empty mask.
    with torch.no_grad():
        assert sum(int(model.mask(scan[None]).sum()) for scan in scans) > 1000
