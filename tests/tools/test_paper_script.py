import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Stands in for Python: notes what it is asked to run; a training of 20 iterations took 30 s.
NOTING = """#!/usr/bin/env bash
[[ $1 == -c && $2 == *wall_seconds* ]] && exec "$REAL" "$@"
[[ $1 == -c || $1 == scripts/find_test_record.py ]] && exit 0
echo "$*" >> "$NOTES"
if [[ $1 == tools/train.py && $4 == work_dirs/paper/speed ]]; then
    mkdir -p "$4" && echo '{"wall_seconds": 30.0}' > "$4/train_usual_scratch_20i_seed0.json"
elif [[ $1 == tools/train.py ]]; then
    iterations=${8##*=}
    mkdir -p "$4" && touch "$4/iter_$iterations.pth" "$4/train_usual_scratch_${iterations}i_seed0.json"
elif [[ $1 == tools/publish_checkpoint.py ]]; then
    mkdir -p "$4" && head=${2#work_dirs/hrf/} && head=${head%%_*}
    digest=$(printf %s "$head" | sha256sum)
    printf %s "$head" > "$4/${head}_unet_s5-d16_256x256_1k_hrf-${digest:0:8}.pth"
fi
[[ "$*" == ${FAIL:-nothing}* ]] && exit 1
exit 0
"""


@pytest.fixture
def script(repository, tmp_path):
    """Call scripts/reproduce_paper.sh with an interpreter that only notes what it is asked to run, and leaves its files."""
    fake, notes = tmp_path / 'python', tmp_path / 'notes'
    fake.write_text(NOTING)
    fake.chmod(0o755)
    for name in ('duke_dme', 'hrf'):
        (repository / 'data' / name).mkdir(parents=True)
        (repository / 'data' / name / 'index.csv').touch()

    def call(*arguments, **environment):
        notes.write_text('')
        environment = {**os.environ, 'PYTHON': str(fake), 'REAL': sys.executable, 'NOTES': str(notes), **environment}
        command = ['bash', repository / 'scripts/reproduce_paper.sh', *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done, notes.read_text().splitlines()

    return call


def test_all_of_the_paper_from_our_weights_and_only_once(script):
    done, steps = script('--iters', '1000', '--seeds', '7')
    assert (done.returncode, done.stderr) == (0, '')
    assert [step.split()[0] for step in steps] == (
        ['tools/train.py', 'tools/publish_checkpoint.py'] * 3 + ['tools/test.py'] * 3 + ['tools/report.py']
        + ['tools/sweep.py', 'tools/report.py'] + ['tools/sweep.py'] * 3 + ['tools/report.py']
    )  # fmt: skip
    assert all('train_cfg.max_iters=1000' in step and '--amp auto' in step for step in steps[:6:2])
    sweeps = [step for step in steps if step.startswith('tools/sweep.py')]
    assert all('--seeds 7' in step and '--amp auto' in step and '--gpus' not in step for step in sweeps)
    weights = [step.partition('--init checkpoints/hrf/')[2].split('_')[0] for step in sweeps]
    assert weights == ['pspnet', 'pspnet', 'fcn', 'deeplabv3']
    assert sorted(word for step in sweeps[1:] for word in step.split() if word.startswith('configs/')) == sorted(
        path.relative_to(ROOT).as_posix() for path in (ROOT / 'configs/ablations').glob('*.py')
    )
    assert steps[-1].endswith('--out work_dirs/paper/report')
    done, steps = script('--iters', '1000')
    assert done.returncode == 0 and not [step for step in steps if step.startswith('tools/train.py')]


def test_minutes_become_iterations_and_a_gpu_is_shared(script):
    done, steps = script('--gpu', '--minutes', '30')
    assert done.returncode == 0
    # 1.5 s an iteration: 1200 in 30 minutes.
    assert [step.count('train_cfg.max_iters=1200 ') for step in steps if step.startswith('tools/train.py')] == [0, 1, 1, 1]
    assert all(step.endswith('--jobs 4 --gpus 0') for step in steps if step.startswith('tools/sweep.py'))


def test_failed_runs_are_remembered_and_a_failed_source_stops(script):
    done, steps = script(FAIL='tools/sweep.py configs/table2')
    assert done.returncode == 1 and steps[-1].endswith('--out work_dirs/paper/report')
    done, steps = script(FAIL='tools/train.py')
    assert done.returncode == 0  # the weights are there by now


@pytest.mark.parametrize('arguments', [['--minutes', '0'], ['--iters'], ['--seeds'], ['--fast']])
def test_bad_arguments_are_one_line_and_status_2(script, arguments):
    done, steps = script(*arguments)
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])


SMALLER = {
    '(2336, 3504)': '(64, 96)', '(512, 512)': '(64, 64)', '(320, 320)': '(48, 48)', '(256, 256)': '(64, 64)',
    '(170, 170)': '(32, 32)', '=400': '=2', 'num_workers=2,': 'num_workers=0,', 'num_workers=4,': 'num_workers=0,',
    'persistent_workers=True,': '', 'channels=64': 'channels=4', 'channels=128': 'channels=8',
}  # fmt: skip


@pytest.mark.slow
def test_end_to_end_with_tiny_networks_on_tiny_scans(tmp_path, phantoms, write_hrf):
    """A copy of the repository whose bases are made tiny, with two rows of table 2 and two ablations."""
    root = tmp_path / 'repository'
    for name in ('configs', 'octfluid', 'scripts', 'tools'):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns('__pycache__'))
    configs, kept = root / 'configs', ('06_crop320', '10_crop320_wd1e-4', 'fcn_head', 'deeplabv3_head', 'rotate15')
    for path in configs.rglob('*.py'):
        if path.parent.name in ('table2', 'ablations') and path.stem not in kept:
            path.unlink()
            continue
        text = path.read_text()
        for old, new in SMALLER.items():
            text = text.replace(old, new)
        path.write_text(text)
    data = root / 'data/duke_dme'
    shutil.copytree(phantoms, data)
    (data / 'native').rename(data / 'paper_256')
    for side in ('train', 'val'):
        (data / f'splits/heldout_{side}.txt').rename(data / f'splits/paper_{side}.txt')
    command = ['bash', root / 'scripts/reproduce_paper.sh', '--iters', '2', '--seeds', '0']
    raw = write_hrf(tmp_path / 'raw')
    environment = {**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': str(root), 'OCTFLUID_HRF_RAW': str(raw)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [path.relative_to(root / 'work_dirs') for path in (root / 'work_dirs').rglob('*_*i_seed*.json')]
    runs = [path.parts[0] for path in found]
    assert [runs.count(name) for name in ('hrf', 'table1', 'table2', 'ablations')] == [3, 3, 2, 3]
    assert all('_hrf-own_' in path.name for path in found if path.parts[0] != 'hrf')
    assert (root / 'work_dirs/paper/report/table2.md').is_file()
