from pathlib import Path

import pytest

from octfluid.engine.config import load_config
from octfluid.engine.twins import require_twins
from octfluid.records.fingerprint import config_sha256
from octfluid.records.origin import Origin
from octfluid.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
COMPACT = 'configs/duke_dme/compact.py'


def record(name, split='subject03', **changes):
    digest = config_sha256(load_config(ROOT / name, split=split))
    return Path('r.json'), {'config': name, 'split': split, 'config_sha256': digest, 'iterations': 900, **changes}


def test_folds_and_the_papers_score_of_one_recipe_are_twins():
    cfg = load_config(ROOT / COMPACT, split='all')
    twins = [record(COMPACT), record(COMPACT, 'paper'), record('configs/duke_dme/compact_paper256.py', 'paper')]
    assert len({twin['config_sha256'] for _, twin in twins}) == 3, 'what they are scored on differs'
    require_twins(cfg, twins)


@pytest.mark.parametrize(('name', 'what'), [
    ('configs/duke_dme/steps/8_mirror.py', 'param_scheduler, train_cfg'),
    ('configs/duke_dme/steps/7_deep_supervision.py', 'model'),
    ('configs/smoke/duke_dme.py', 'model'),
])  # fmt: skip
def test_another_configuration_does_not_speak_for_the_model(name, what):
    with pytest.raises(InputError, match=rf'r\.json: is of {name}, which differs .* in {what}') as caught:
        require_twins(load_config(ROOT / COMPACT), [record(COMPACT), record(name)])
    assert '\n' not in str(caught.value)


def test_records_of_a_config_that_has_changed_since_are_refused():
    with pytest.raises(InputError, match='has been changed since'):
        require_twins(load_config(ROOT / COMPACT), [record(COMPACT, config_sha256='0' * 64)])


@pytest.mark.parametrize(('told', 'said'), [
    (Origin(iterations=300), 'for 300 iterations'), (Origin(overrides={'model.threshold': 0.3}), 'with model.threshold'),
])  # fmt: skip
def test_records_do_not_speak_for_weights_that_were_trained_otherwise(told, said):
    cfg, records = load_config(ROOT / COMPACT), [record(COMPACT)]
    with pytest.raises(InputError, match=f'trained for 900 iterations, but the exported one was trained {said}'):
        require_twins(cfg, records, told)
    require_twins(cfg, records, Origin(iterations=900, overrides={'train_cfg.max_iters': 900}))
