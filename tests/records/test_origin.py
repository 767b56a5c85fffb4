import json

import pytest
from mmengine.config import Config

from octfluid.records.origin import Origin, origin_of
from octfluid.utils.errors import InputError

DUKE, HRF = 'DukeDMEDataset', 'HRFDataset'


def config(split, dataset=DUKE):
    return Config(dict(split=split, train_dataloader=dict(dataset=dict(type=dataset))))


def test_a_checkpoint_of_our_own_speaks_for_itself(tmp_path):
    changed = {'optim_wrapper.optimizer.lr': 0.1}
    run = dict(settings=dict(split='subject03', config='a' * 64), dataset=DUKE, overrides=json.dumps(changed))
    stored = dict(run=run, meta=dict(iter=900, seed=2))
    (tmp_path / 'own.json').write_text(json.dumps(dict(split='all')))
    assert origin_of(tmp_path / 'own.pth', stored) == Origin('subject03', DUKE, 'a' * 64, 900, 2, changed)


def test_published_weights_are_spoken_for_by_their_card(tmp_path):
    path = tmp_path / 'bare.safetensors'
    assert origin_of(path, {}) == Origin()
    card = dict(split='all', dataset=DUKE, iterations=900, seed=1)
    (tmp_path / 'bare.json').write_text(json.dumps(card))
    assert origin_of(path, {}) == origin_of(path, {}, DUKE) == Origin('all', DUKE, None, 900, 1)
    # Vessel weights, or a card that is older than this entry, have no split of the fluid's.
    assert origin_of(path, {}, HRF) == Origin()
    (tmp_path / 'bare.json').write_text(json.dumps({**card, 'dataset': None}))
    assert origin_of(path, {}, DUKE) == Origin()


@pytest.mark.parametrize(('text', 'said'), [
    ('{', 'broken JSON'), ('[' * 100000, 'JSON that octfluid does not write'),
])  # fmt: skip
def test_a_damaged_card_is_refused(tmp_path, text, said):
    (tmp_path / 'bare.json').write_text(text)
    with pytest.raises(InputError, match=rf'bare\.json: {said}'):
        origin_of(tmp_path / 'bare.safetensors', {})


@pytest.mark.parametrize(('field', 'value'), [
    ('split', 'a/b'), ('split', 3), ('dataset', []), ('iterations', -1), ('iterations', 1 << 70), ('seed', 'x'),
    ('overrides', None), ('overrides', [1]), ('overrides', {'a': '\ud800'}),
])  # fmt: skip
def test_a_card_with_a_field_of_another_type_is_refused(field, value, tmp_path):
    (tmp_path / 'bare.json').write_text(json.dumps(dict(split='all', dataset=DUKE, iterations=900, seed=1) | {field: value}))
    with pytest.raises(InputError, match=rf'bare\.json: not the card of published weights, .*: field {field}'):
        origin_of(tmp_path / 'bare.safetensors', {})


@pytest.mark.parametrize(('origin', 'cfg', 'mark'), [
    (Origin('paper', DUKE), config('paper'), ''),
    (Origin('all', DUKE), config('paper'), 'all'),
    (Origin('all', DUKE), config('all'), 'all'),  # scores what it trained on
    (Origin('all', DUKE), config('all', 'FluidDataset'), ''),  # all scans of another data set
    (Origin('subject01', DUKE), config('paper'), 'subject01'),
    (Origin(), config('paper'), ''),
])  # fmt: skip
def test_a_score_is_marked_where_its_scans_may_have_been_in_the_training(origin, cfg, mark):
    assert origin.mark(cfg) == mark
