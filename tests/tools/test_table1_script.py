import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from octfluid.records.record import file_sha256, write_record

ROOT = Path(__file__).resolve().parents[2]
HEADS = ('pspnet', 'fcn', 'deeplabv3')
ZOO = {'pspnet': '20201227_181818-fdb7e29b', 'fcn': '20201223_173724-d89cf1ed', 'deeplabv3': '20201226_094047-3a1fdf85'}
# Stands in for Python: notes what it is asked to run; only the search for records is real.
NOTING = """#!/usr/bin/env bash
[[ $1 == scripts/find_test_record.py ]] && exec "$REAL_PYTHON" "$@"
[[ $1 == -c ]] && exit 0
echo "$*" >> "$NOTES"
[[ "$*" == ${FAIL:-nothing}* ]] && exit "${FAKE_STATUS:-1}"
exit 0
"""


@pytest.fixture
def script(repository, tmp_path):
    """Call scripts/reproduce_table1.sh from elsewhere with an interpreter that only notes what it is asked to run."""
    fake, notes = tmp_path / 'python', tmp_path / 'notes'
    fake.write_text(NOTING)
    fake.chmod(0o755)

    def call(*arguments, **environment):
        notes.write_text('')
        environment = {**os.environ, 'PYTHON': str(fake), 'REAL_PYTHON': sys.executable, 'NOTES': str(notes), **environment}
        command = ['bash', repository / 'scripts/reproduce_table1.sh', *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done, notes.read_text().splitlines()

    return call


@pytest.fixture
def add_weights(repository):
    """Put a file in place of a head's weights; returns its path from the repository."""

    def add(head, name='_hrf_1000i_01234567.safetensors', folder='checkpoints/hrf'):
        path = repository / folder / f'{head}_unet_s5-d16{name}'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head)
        return path.relative_to(repository).as_posix()

    return add


def zoo_name(head):
    return f'_256x256_40k_hrf_{ZOO[head]}.pth'


def scoring(head, weights, split='all', amp=''):
    return f'tools/test.py configs/table1/{head}.py {weights} --split {split} --out work_dirs/table1/{head}{amp}'


REPORT = 'tools/report.py work_dirs/table1 --out work_dirs/table1/report'


def test_all_heads_are_scored_and_reported(script, add_weights):
    files = [add_weights('pspnet'), add_weights('fcn'), add_weights('deeplabv3', zoo_name('deeplabv3'), 'checkpoints')]
    done, steps = script()
    assert (done.returncode, done.stderr) == (0, '')
    assert steps == [*(scoring(head, file) for head, file in zip(HEADS, files, strict=True)), REPORT]


def test_options_reach_the_step_that_they_are_for(script, add_weights):
    file = add_weights('fcn')
    done, steps = script('fcn', '--split', 'paper', '--amp')
    assert (done.returncode, done.stderr) == (0, '')
    assert steps == [scoring('fcn', file, 'paper', ' --amp'), REPORT]


@pytest.mark.parametrize('own', [True, False])
def test_weights_are_those_that_the_configs_name(script, add_weights, repository, monkeypatch, own):
    pytest.importorskip('mmengine')
    from octfluid.engine.checkpoint import find_initial_weights
    from octfluid.engine.config import load_config

    for head in HEADS:
        add_weights(head, zoo_name(head), 'checkpoints')
        if own:
            add_weights(head)
    _, steps = script()
    monkeypatch.chdir(repository)
    taken = [step.split()[2] for step in steps[:3]]
    assert taken == [find_initial_weights(load_config(f'configs/table1/{head}.py').init.files) for head in HEADS]


def test_missing_weights_are_an_error_if_named_and_listed_if_not(script, add_weights):
    done, steps = script()
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])
    add_weights('fcn')
    done, steps = script('pspnet', 'fcn')
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])
    assert 'no HRF weights in checkpoints/hrf or checkpoints for: pspnet; get them with' in done.stderr
    done, steps = script()
    assert (done.returncode, done.stderr.count('\n'), len(steps)) == (1, 1, 2)
    assert (
        'left out for want of HRF weights: pspnet deeplabv3; get them with bash scripts/download_checkpoints.sh' in done.stderr
    )


def test_two_files_of_weights_are_refused(script, add_weights):
    add_weights('fcn')
    add_weights('fcn', '_hrf_40000i_89abcdef.safetensors')
    done, steps = script('fcn')
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])
    assert done.stderr.count('.safetensors') == 2


@pytest.fixture
def scored(repository, add_weights, phantoms, make_record, monkeypatch):
    """Have the FCN network scored on all of a few Duke scans, 64x64 pixels; returns the record's path and its weights' file."""
    pytest.importorskip('mmseg')
    from octfluid.engine.config import load_config
    from octfluid.engine.scored import fingerprints_of_test

    data = repository / 'data/duke_dme'
    shutil.copytree(phantoms, data)
    (data / 'native').rename(data / 'paper_256')
    for side in ('train', 'val'):
        (data / f'splits/heldout_{side}.txt').rename(data / f'splits/paper_{side}.txt')
    monkeypatch.chdir(repository)

    def score(precision='fp32', split='all'):
        file = add_weights('fcn')
        config, files = fingerprints_of_test(load_config('configs/table1/fcn.py', split=split))
        record = make_record(
            kind='test', config='configs/table1/fcn.py', split=split, precision=precision, iterations=0, history=[],
            checkpoint_sha256=file_sha256(file), config_sha256=config, split_sha256=files,
        )  # fmt: skip
        path = Path(f'work_dirs/table1/fcn/test_{split}_hrf-own_0i_seed0.json')
        write_record(record, path)
        return path, Path(file)

    return score


@pytest.mark.parametrize(('precision', 'arguments', 'again'), [
    ('fp32', [], False), ('bf16', [], True), ('bf16', ['--amp'], False), ('fp32', ['--amp'], False),
    ('fp32', ['--split', 'paper'], True),
])  # fmt: skip
def test_a_scored_head_is_skipped(script, scored, precision, arguments, again):
    path, file = scored(precision)
    done, steps = script('fcn', *arguments)
    assert done.returncode == 0
    assert [step.split()[0] for step in steps] == ['tools/test.py'] * again + [REPORT.split()[0]]
    assert (f'== found {path}: scored already\n' in done.stdout) != again
    # Other weights are another test.
    file.write_text('retrained')
    assert script('fcn', *arguments)[1][0].startswith('tools/test.py')


def test_a_head_scored_with_other_settings_or_scans_is_scored_again(script, scored, repository):
    scored(split='paper')
    arguments = ('fcn', '--split', 'paper')
    assert script(*arguments)[1][0] == REPORT
    # The config of today differs from the one that was scored.
    (repository / 'configs').unlink()
    shutil.copytree(ROOT / 'configs', repository / 'configs')
    base = repository / 'configs/_base_/table1.py'
    written = base.read_text()
    base.write_text(written.replace('scale=(2336, 3504)', 'scale=(512, 512)'))
    assert script(*arguments)[1][0].startswith('tools/test.py')
    base.write_text(written)
    assert script(*arguments)[1][0] == REPORT
    # So do the scans.
    name = (repository / 'data/duke_dme/splits/paper_val.txt').read_text().split()[0]
    with open(repository / f'data/duke_dme/paper_256/annotations/{name}.png', 'ab') as file:
        file.write(b'prepared anew')
    assert script(*arguments)[1][0].startswith('tools/test.py')
    shutil.rmtree(repository / 'data/duke_dme/paper_256')
    done, steps = script(*arguments)
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])


def test_a_failed_head_does_not_stop_the_others(script, add_weights):
    for head in HEADS:
        add_weights(head)
    done, steps = script(FAIL='tools/test.py configs/table1/pspnet.py')
    assert done.returncode == 1
    assert [step.split()[0] for step in steps] == ['tools/test.py'] * 3 + [REPORT.split()[0]]
    for status in ('2', '130'):  # bad data, or an interruption: the next head would fare no better
        done, steps = script(FAIL='tools/test.py', FAKE_STATUS=status)
        assert (done.returncode, len(steps)) == (int(status), 1)
    done, steps = script(FAIL='tools/test.py')
    assert (done.returncode, len(steps)) == (1, 3)


@pytest.mark.parametrize('arguments', [
    ['resnet'], ['--split'], ['--split', 'subject01'], ['--split', 'all-inner1'], ['--frobnicate'],
])  # fmt: skip
def test_bad_arguments_are_one_line_and_status_2(script, add_weights, arguments):
    add_weights('fcn')
    done, steps = script(*arguments)
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])
    assert done.stderr.startswith('error: ')


def test_help_runs_nothing(script):
    done, steps = script('--help')
    assert (done.returncode, steps) == (0, [])
    assert done.stdout.startswith('usage:') and 'examples:\n' in done.stdout


def test_from_weights_to_table(repository, tmp_path, phantoms, tiny_network):
    config, weights = tiny_network
    (repository / 'configs').unlink()
    for path in ('configs/table1/fcn.py', 'checkpoints/hrf/fcn_unet_s5-d16_hrf_0i_01234567.safetensors'):
        (repository / path).parent.mkdir(parents=True)
        shutil.copy(config if path.endswith('.py') else weights, repository / path)
    command = ['bash', repository / 'scripts/reproduce_table1.sh', 'fcn']
    environment = {**os.environ, 'PYTHON': sys.executable}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    work = repository / 'work_dirs/table1'
    record = json.loads(next((work / 'fcn').glob('test_all_*.json')).read_text())
    assert (record['kind'], record['split'], len(record['images'])) == ('test', 'all', 12)
    assert record['checkpoint_sha256'] == file_sha256(weights)
    search = [sys.executable, 'scripts/find_test_record.py', work / 'fcn', 'configs/table1/fcn.py', weights, '--split', 'all']
    found = subprocess.run(search, cwd=repository, capture_output=True, text=True)
    assert found.stdout == f'{next((work / "fcn").glob("test_all_*.json"))}\n', found.stderr
    assert (work / 'report/results.json').is_file()
    assert list((work / 'fcn').glob('test_all_*.png'))
