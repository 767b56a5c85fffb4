import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A network of a few hundred parameters on photographs of 64x96: seconds a run.
TINY = [
    'model.backbone.base_channels=4', 'model.decode_head.in_channels=4', 'model.decode_head.channels=4',
    'model.auxiliary_head.in_channels=8', 'model.auxiliary_head.channels=4',
    'model.test_cfg.crop_size=(64,64)', 'model.test_cfg.stride=(32,32)',
    'train_dataloader.dataset.scan_size=(64,96)', 'val_dataloader.dataset.scan_size=(64,96)',
    'train_dataloader.dataset.pipeline.2.scale=(64,96)', 'train_dataloader.dataset.pipeline.3.crop_size=(32,32)',
    'val_dataloader.dataset.pipeline.1.scale=(64,96)', 'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
]  # fmt: skip
# Stands in for Python: notes what it is asked to run, and leaves what the training would.
NOTING = """#!/usr/bin/env bash
echo "$*" >> "$NOTES"
if [[ $1 == *train.py ]]; then
    mkdir -p "$4"
    touch "$4/iter_${FAKE_ITERS:-40000}.pth" "$4/train_usual_scratch_${FAKE_ITERS:-40000}i_seed0.json"
fi
exit "${FAKE_STATUS:-0}"
"""


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


@pytest.fixture
def pretrain(repository, tmp_path):
    """Call scripts/pretrain_hrf.sh from elsewhere with an interpreter that only notes what it is asked to run."""
    fake = tmp_path / 'python'
    fake.write_text(NOTING)
    fake.chmod(0o755)
    notes = tmp_path / 'notes'

    def call(*arguments, **environment):
        notes.write_text('')
        done = run(
            'bash', repository / 'scripts/pretrain_hrf.sh', *arguments, cwd=tmp_path,
            env={**os.environ, 'PYTHON': str(fake), 'NOTES': str(notes), **environment},
        )  # fmt: skip
        return done, notes.read_text().splitlines()

    return call


def schedule(iterations):
    return ' '.join(f'{key}={iterations}' for key in ('train_cfg.max_iters', 'train_cfg.val_interval', 'param_scheduler.0.end'))


def test_pretrain_converts_trains_and_publishes(pretrain, repository, tmp_path):
    done, steps = pretrain(OCTFLUID_HRF_RAW='photos')
    assert done.returncode == 0
    work = 'work_dirs/hrf/pspnet_40000i'
    record = f'{work}/train_usual_scratch_40000i_seed0.json'
    assert steps == [
        f'tools/dataset_converters/hrf.py {tmp_path}/photos --out data/hrf',
        f'tools/train.py configs/hrf/pspnet.py --work-dir {work} --resume --cfg-options {schedule(40000)}',
        f'tools/publish_checkpoint.py {work}/iter_40000.pth --out checkpoints/hrf --config configs/hrf/pspnet.py '
        f'--record {record}',
    ]
    (repository / 'data/hrf').mkdir(parents=True)
    (repository / 'data/hrf/index.csv').touch()
    given = ['fcn', '--iters', '1000', '--amp', 'auto', '--half', '--cfg-options', 'a=1', 'b=2']
    done, steps = pretrain(*given, FAKE_ITERS='1000')
    assert steps[0].endswith(f'hrf/fcn_1000i --resume --amp auto --cfg-options {schedule(1000)} a=1 b=2')
    assert steps[1].endswith('_1000i_seed0.json --half')
    # What is trained is not trained again, should publishing have been interrupted.
    done, steps = pretrain('fcn', '--iters', '1000')
    assert [step.split()[0] for step in steps] == ['tools/publish_checkpoint.py']


def test_pretrain_keeps_the_status_of_a_failure(pretrain):
    done, steps = pretrain(FAKE_STATUS='2')
    assert (done.returncode, len(steps)) == (2, 1)


@pytest.mark.parametrize('arguments', [
    ['resnet'], ['--iters'], ['--iters', 'many'], ['--iters', '0'], ['--frobnicate'], ['--name', '../x'],
])  # fmt: skip
def test_pretrain_refuses_bad_arguments(pretrain, arguments):
    done, steps = pretrain(*arguments)
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])
    assert done.stderr.startswith('error: ')


def test_pretrain_help_runs_nothing(pretrain):
    done, steps = pretrain('--help')
    assert (done.returncode, steps) == (0, [])
    assert 'example:\n' in done.stdout


@pytest.mark.slow
def test_from_photographs_to_published_weights(repository, tmp_path, write_hrf):
    raw = write_hrf(tmp_path / 'raw')
    environment = {**os.environ, 'PYTHON': sys.executable, 'OCTFLUID_HRF_RAW': str(raw)}
    script, out = repository / 'scripts/pretrain_hrf.sh', repository / 'checkpoints/hrf'
    done = run('bash', script, 'fcn', '--iters', 3, '--half', '--cfg-options', *TINY, env=environment)
    assert done.returncode == 0, done.stderr
    (card,) = (json.loads(path.read_text()) for path in out.glob('fcn_unet_s5-d16_*_3i_hrf-*.json'))
    assert (card['config'], card['iterations'], card['precision']) == ('configs/hrf/fcn.py', 3, 'fp16')
    assert set(card['scores']) >= {'IoU.vessel', 'Dice.vessel'}
    assert card['overrides']['model.backbone.base_channels'] == 4
    record = json.loads((repository / 'work_dirs/hrf/fcn_3i/train_usual_scratch_3i_seed0.json').read_text())
    # The schedule ends with the third iteration.
    assert record['history'][-1]['lr'] == pytest.approx((0.01 - 1e-4) * (1 - 2 / 3) ** 0.9 + 1e-4, rel=1e-8)
