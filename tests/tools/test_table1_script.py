import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from octfluid.records.record import file_sha256, write_record

ROOT = Path(__file__).resolve().parents[2]
HEADS = ('pspnet', 'fcn', 'deeplabv3')
ZOO = {'pspnet': '20201227_181818-fdb7e29b', 'fcn': '20201223_173724-d89cf1ed', 'deeplabv3': '20201226_094047-3a1fdf85'}
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

    def add(head, name='_256x256_1k_hrf-01234567.pth', folder='checkpoints/hrf'):
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
DRAW = 'tools/analysis_tools/compare_predictions.py --model'


def test_all_heads_are_scored_reported_and_drawn(script, add_weights):
    files = [add_weights('pspnet'), add_weights('fcn'), add_weights('deeplabv3', zoo_name('deeplabv3'), 'checkpoints')]
    done, steps = script()
    assert (done.returncode, done.stderr) == (0, '')
    assert steps[:3] == [scoring(head, file) for head, file in zip(HEADS, files, strict=True)]
    assert steps[3:] == [
        REPORT, f'{DRAW} PSPNet, zero-shot configs/table1/pspnet.py {files[0]} --out work_dirs/table1/figures',
    ]  # fmt: skip
    assert 'add --finetuned CONFIG CHECKPOINT' in done.stdout


def test_options_reach_every_step_and_paths_are_meant_from_the_caller(script, add_weights, tmp_path):
    file = add_weights('fcn')
    (tmp_path / 'tuned.pth').touch()
    config = 'configs/table2/10_crop320_wd1e-4.py'
    done, steps = script('fcn', '--split', 'paper', '--amp', '--finetuned', config, 'tuned.pth')
    assert (done.returncode, done.stderr) == (0, '')
    assert steps == [
        scoring('fcn', file, 'paper', ' --amp'), REPORT,
        f'{DRAW} FCN, zero-shot configs/table1/fcn.py {file} --model fine-tuned {config} {tmp_path}/tuned.pth --split paper '
        '--out work_dirs/table1/figures --amp',
    ]  # fmt: skip
    assert '--finetuned' not in done.stdout


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
    assert (done.returncode, done.stderr.count('\n'), len(steps)) == (1, 1, 3)
    assert (
        'left out for want of HRF weights: pspnet deeplabv3; get them with bash scripts/download_checkpoints.sh' in done.stderr
    )


def test_two_files_of_weights_are_refused(script, add_weights):
    add_weights('fcn')
    add_weights('fcn', '_256x256_40k_hrf-89abcdef.pth')
    done, steps = script('fcn')
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])
    assert done.stderr.count('.pth') == 2


def test_a_scored_head_is_skipped(script, add_weights):
    add_weights('fcn')
    done, steps = script('fcn', FOUND='work_dirs/table1/fcn/test.json')
    assert done.returncode == 0 and '== found work_dirs/table1/fcn/test.json: scored already\n' in done.stdout
    assert [step.split()[0] for step in steps] == [REPORT.split()[0], DRAW.split()[0]]


@pytest.fixture
def scored(repository, add_weights, phantoms, make_record, monkeypatch):
    """Write the record of an FCN network on a few scans of 64x64; return the record's path, the weights, and the search."""
    pytest.importorskip('mmseg')
    from octfluid.engine.scored import fingerprints_of_test

    from octfluid.engine.config import load_config

    data, weights, config = repository / 'data/duke_dme', add_weights('fcn'), 'configs/table1/fcn.py'
    shutil.copytree(phantoms, data)
    (data / 'native').rename(data / 'paper_256')
    for side in ('train', 'val'):
        (data / f'splits/heldout_{side}.txt').rename(data / f'splits/paper_{side}.txt')
    (repository / 'configs').unlink()
    shutil.copytree(ROOT / 'configs', repository / 'configs')
    monkeypatch.chdir(repository)

    def write(precision='fp32', split='paper'):
        settings, files = fingerprints_of_test(load_config(config, split=split))
        record = make_record(
            kind='test', config=config, split=split, precision=precision, iterations=0, history=[],
            checkpoint_sha256=file_sha256(weights), config_sha256=settings, split_sha256=files,
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
    assert [step.split()[0] for step in steps] == ['tools/test.py'] * 3 + [REPORT.split()[0], DRAW.split()[0]]
    assert steps[-1].startswith(f'{DRAW} FCN, zero-shot')
    for status in ('2', '130'):  # bad data, or an interruption: the next head would fare no better
        done, steps = script(FAIL='tools/test.py', FAKE_STATUS=status)
        assert (done.returncode, len(steps)) == (int(status), 1)
    done, steps = script(FAIL='tools/test.py')
    assert (done.returncode, len(steps)) == (1, 3)
    done, steps = script(FAIL='tools/analysis_tools', FAKE_STATUS='2')
    assert (done.returncode, len(steps)) == (2, 5)


@pytest.mark.parametrize('arguments', [
    ['resnet'], ['--split'], ['--split', 'subject01'], ['--split', 'all-inner1'], ['--frobnicate'], ['--finetuned', 'a.py'],
    ['--finetuned', 'configs/table1/fcn.py', 'not_there.pth'], ['--finetuned', 'configs/table1/fcn.py', 'scripts/test.sh'],
])  # fmt: skip
def test_bad_arguments_are_one_line_and_status_2(script, add_weights, arguments):
    add_weights('fcn')
    done, steps = script(*arguments)
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, [])
    assert done.stderr.startswith('error: ')


@pytest.mark.slow
def test_from_weights_to_table_and_pictures(repository, tmp_path, phantoms, tiny_network):
    config, weights = tiny_network
    (repository / 'configs').unlink()
    for path in ('configs/table1/fcn.py', 'checkpoints/hrf/fcn_unet_s5-d16_256x256_1i_hrf-01234567.pth'):
        (repository / path).parent.mkdir(parents=True)
        shutil.copy(config if path.endswith('.py') else weights, repository / path)
    command = ['bash', repository / 'scripts/reproduce_table1.sh', 'fcn', '--finetuned', config, weights]
    environment = {**os.environ, 'PYTHON': sys.executable}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    work = repository / 'work_dirs/table1'
    record = json.loads(next((work / 'fcn').glob('test_all_*.json')).read_text())
    assert (record['kind'], record['split'], len(record['images'])) == ('test', 'all', 12)
    assert record['checkpoint_sha256'] == file_sha256(weights)
    assert (work / 'report/results.json').is_file()
    assert len(list((work / 'figures').glob('*.png'))) == 1
