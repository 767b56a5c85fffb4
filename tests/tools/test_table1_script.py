import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from octfluid.records.record import file_sha256, split_sha256, write_record

ROOT = Path(__file__).resolve().parents[2]
HEADS = ('pspnet', 'fcn', 'deeplabv3')
ZOO = '256x256_40k_hrf_20201223_173724-{}.pth'
# Stands in for Python: notes what it is asked to run, and finds the record $FOUND.
NOTING = """#!/usr/bin/env bash
[[ $1 == scripts/find_test_record.py ]] && { echo "${FOUND-}"; exit 0; }
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
        environment = {**os.environ, 'PYTHON': str(fake), 'NOTES': str(notes), **environment}
        command = ['bash', repository / 'scripts/reproduce_table1.sh', *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done, notes.read_text().splitlines()

    return call


@pytest.fixture
def add_weights(repository):
    """Put a file in place of a head's weights; returns its path from the repository."""

    def add(head, name='256x256_1k_hrf-{}.pth', folder='checkpoints/hrf', text=''):
        digits = hashlib.sha256((head + text).encode()).hexdigest()[:8]
        path = repository / folder / f'{head}_unet_s5-d16_{name.format(digits)}'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + text)
        return path.relative_to(repository).as_posix()

    return add


def scoring(head, weights, split='all', amp=''):
    return f'tools/test.py configs/table1/{head}.py {weights} --split {split} --out work_dirs/table1/{head}{amp}'


REPORT = 'tools/report.py work_dirs/table1 --out work_dirs/table1/report'


def test_all_heads_are_scored_with_our_weights_or_the_zoos_and_reported(script, add_weights):
    for head in HEADS:
        add_weights(head, ZOO, 'checkpoints')
    files = [add_weights('pspnet'), add_weights('fcn'), add_weights('deeplabv3', ZOO, 'checkpoints')]
    done, steps = script()
    assert (done.returncode, done.stderr) == (0, '')
    assert steps == [*(scoring(head, file) for head, file in zip(HEADS, files, strict=True)), REPORT]


@pytest.mark.parametrize(('given', 'passed'), [(['--amp'], ' --amp'), (['--amp', 'auto'], ' --amp'), ([], '')])
def test_options_reach_the_scoring(script, add_weights, given, passed):
    file = add_weights('fcn')
    done, steps = script('fcn', *given, '--split', 'paper')  # the stand-in finds mixed precision faster
    assert (done.returncode, steps) == (0, [scoring('fcn', file, 'paper', passed), REPORT])


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


@pytest.mark.parametrize('how', ['several', 'broken'])
def test_weights_that_are_in_doubt_are_named(script, add_weights, repository, how):
    file = add_weights('fcn')
    add_weights('fcn', ZOO, 'checkpoints')
    if how == 'several':
        add_weights('fcn', '256x256_40k_hrf-{}.pth', text='longer')
    else:
        (repository / file).write_text('half of it')
    done, steps = script()
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])
    assert file in done.stderr


def test_a_scored_head_is_skipped(script, add_weights):
    add_weights('fcn')
    done, steps = script('fcn', FOUND='work_dirs/table1/fcn/test.json')
    assert (done.returncode, steps) == (0, [REPORT])


@pytest.fixture
def scored(repository, add_weights, phantoms, make_record, monkeypatch):
    """Write the record of an FCN network on a few scans of 64x64; return the record's path, the weights, and the search."""
    pytest.importorskip('mmseg')
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    from octfluid.engine.config import load_config
    from octfluid.engine.record_hook import scored_files
    from octfluid.records.fingerprint import config_sha256

    data, weights, config = repository / 'data/duke_dme', add_weights('fcn'), 'configs/table1/fcn.py'
    shutil.copytree(phantoms, data)
    (data / 'native').rename(data / 'paper_256')
    for side in ('train', 'val'):
        (data / f'splits/heldout_{side}.txt').rename(data / f'splits/paper_{side}.txt')
    (repository / 'configs').unlink()
    shutil.copytree(ROOT / 'configs', repository / 'configs')
    monkeypatch.chdir(repository)

    def write(precision='fp32', split='paper'):
        cfg = load_config(config, split=split)
        init_default_scope(cfg.default_scope)
        files = [(name, *pair) for name, pair in scored_files(DATASETS.build(cfg.test_dataloader.dataset)).items()]
        record = make_record(
            kind='test', config=config, split=split, precision=precision, iterations=0, history=[],
            checkpoint_sha256=file_sha256(weights), config_sha256=config_sha256(cfg), split_sha256=split_sha256(files),
        )  # fmt: skip
        path = Path(f'work_dirs/table1/fcn/test_{split}_hrf-own_0i_seed0.json')
        write_record(record, path)
        return path

    def search(capsys, *arguments):
        monkeypatch.setattr(
            sys, 'argv', ['find', 'work_dirs/table1/fcn', config, weights, *(arguments or ('--split', 'paper'))]
        )
        runpy.run_path(str(ROOT / 'scripts/find_test_record.py'))['main']()
        return capsys.readouterr().out.strip()

    return write, Path(weights), search


@pytest.mark.parametrize(('precision', 'arguments', 'found'), [
    ('fp32', ['--split', 'paper'], True), ('bf16', ['--split', 'paper'], False), ('bf16', ['--split', 'paper', '--amp'], True),
    ('fp32', ['--split', 'paper', '--amp'], True), ('fp32', ['--split', 'all'], False),
])  # fmt: skip
def test_the_record_of_an_equal_test_is_found(scored, capsys, precision, arguments, found):
    write, weights, search = scored
    path = write(precision)
    assert search(capsys, *arguments) == (str(path) if found else '')
    weights.write_text('retrained')
    assert search(capsys, *arguments) == ''


def test_other_settings_or_scans_are_another_test(scored, capsys):
    write, _, search = scored
    path = write()
    base = Path('configs/_base_/table1.py')
    written = base.read_text()
    base.write_text(written.replace('scale=(2336, 3504)', 'scale=(512, 512)'))
    assert search(capsys) == ''
    base.write_text(written)
    assert search(capsys) == str(path)
    name = Path('data/duke_dme/splits/paper_val.txt').read_text().split()[0]
    with open(f'data/duke_dme/paper_256/annotations/{name}.png', 'ab') as file:
        file.write(b'prepared anew')
    assert search(capsys) == ''


def test_a_failed_head_does_not_stop_the_others(script, add_weights):
    for head in HEADS:
        add_weights(head)
    done, steps = script(FAIL='tools/test.py configs/table1/pspnet.py')
    assert done.returncode == 1
    assert [step.split()[0] for step in steps] == ['tools/test.py'] * 3 + ['tools/report.py']
    for status in ('2', '130'):  # bad data, or an interruption: the next head would fare no better
        done, steps = script(FAIL='tools/test.py', FAKE_STATUS=status)
        assert (done.returncode, len(steps)) == (int(status), 1)
    done, steps = script(FAIL='tools/test.py')
    assert (done.returncode, len(steps)) == (1, 3)


@pytest.mark.parametrize('arguments', [
    ['resnet'], ['--split'], ['--split', 'subject01'], ['--split', 'all-inner1'], ['--frobnicate'], ['--amp', 'off'],
])  # fmt: skip
def test_bad_arguments_are_one_line_and_status_2(script, add_weights, arguments):
    add_weights('fcn')
    done, steps = script(*arguments)
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])
    assert done.stderr.startswith('error: ')


@pytest.mark.slow
def test_from_weights_to_a_table_and_no_second_scoring(repository, tmp_path, phantoms, tiny_network):
    config, weights = tiny_network
    (repository / 'configs').unlink()
    digits = file_sha256(weights)[:8]
    for path in ('configs/table1/fcn.py', f'checkpoints/hrf/fcn_unet_s5-d16_256x256_1i_hrf-{digits}.pth'):
        (repository / path).parent.mkdir(parents=True)
        shutil.copy(config if path.endswith('.py') else weights, repository / path)
    command = ['bash', repository / 'scripts/reproduce_table1.sh', 'fcn']
    environment = {**os.environ, 'PYTHON': sys.executable}
    for said in ('== score', 'scored already'):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    work = repository / 'work_dirs/table1'
    record = json.loads(next((work / 'fcn').glob('test_all_*.json')).read_text())
    assert (record['kind'], record['split'], len(record['images'])) == ('test', 'all', 12)
    assert record['checkpoint_sha256'] == file_sha256(weights)
    assert (work / 'report/results.json').is_file()
