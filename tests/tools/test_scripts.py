"""What the scripts ask Python to run: a stand-in for the interpreter notes it, and leaves what a training would."""

import hashlib
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from octfluid.records.record import split_sha256, write_record
from octfluid.utils.digest import file_sha256

ROOT = Path(__file__).resolve().parents[2]
HEADS = ('pspnet', 'fcn', 'deeplabv3')
ZOO = '256x256_40k_hrf_20201223_173724-{}.pth'
NOTING = """#!/usr/bin/env bash
[[ $1 == -c && $2 == *wall_seconds* ]] && exec "$REAL" "$@"
[[ $1 == scripts/find_test_record.py ]] && echo "${FOUND-}"
[[ $1 == -c || $1 == scripts/* ]] && exit 0
echo "$*" >> "$NOTES"
[[ "$*" == ${FAIL:-nothing}* ]] && exit "${STATUS:-1}"
before='' folder='' split=usual iterations=900
for word in "$@"; do
    case $before in --work-dir | --out) folder=$word ;; --split) split=$word ;; esac
    [[ $word == train_cfg.max_iters=* ]] && iterations=${word##*=}
    before=$word
done
case $* in
tools/train.py*)
    mkdir -p "$folder" && touch "$folder/iter_$iterations.pth"
    echo '{"wall_seconds": 30.0}' > "$folder/train_${split}_scratch_${iterations}i_seed0.json" ;;
tools/publish_checkpoint.py\\ work_dirs/hrf/*)
    mkdir -p "$folder" && head=${2#work_dirs/hrf/} && head=${head%%_*}
    digest=$(printf %s "$head" | sha256sum)
    printf %s "$head" > "$folder/${head}_unet_s5-d16_256x256_1k_hrf-${digest:0:8}.pth" ;;
tools/publish_checkpoint.py*)
    mkdir -p "$folder" && touch "$folder/fcn_plain-unet_900i_duke-12345678.pth" ;;
tools/sweep.py*compact_paper256*)
    for seed in ${SEEDS-}; do
        made=$folder/compact_paper256/paper_scratch_seed$seed
        mkdir -p "$made" && touch "$made/iter_900.pth" "$made/train_paper_scratch_900i_seed$seed.json"
    done ;;
esac
"""


@pytest.fixture
def script(repository, tmp_path):
    """Call a script from elsewhere; returns the finished process and the lines that the stand-in notes."""
    fake, notes = tmp_path / 'python', tmp_path / 'notes'
    fake.write_text(NOTING)
    fake.chmod(0o755)

    def call(name, *arguments, **environment):
        notes.write_text('')
        environment = {**os.environ, 'PYTHON': str(fake), 'REAL': sys.executable, 'NOTES': str(notes), **environment}
        command = ['bash', repository / f'scripts/{name}.sh', *map(str, arguments)]
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


def programs(steps):
    return [step.split()[0].removeprefix('tools/').removesuffix('.py') for step in steps]


# --- pretrain_hrf.sh ---


def schedule(iterations):
    return ' '.join(f'{key}={iterations}' for key in ('train_cfg.max_iters', 'train_cfg.val_interval', 'param_scheduler.0.end'))


def test_pretrain_converts_trains_and_publishes(script, repository, tmp_path):
    done, steps = script('pretrain_hrf', OCTFLUID_HRF_RAW='photos')
    work = 'work_dirs/hrf/pspnet_40000i'
    assert done.returncode == 0 and steps == [
        f'tools/dataset_converters/hrf.py {tmp_path}/photos --out data/hrf',
        f'tools/train.py configs/hrf/pspnet.py --work-dir {work} --resume --cfg-options {schedule(40000)}',
        f'tools/publish_checkpoint.py {work}/iter_40000.pth --out checkpoints/hrf --config configs/hrf/pspnet.py '
        f'--record {work}/train_usual_scratch_40000i_seed0.json',
    ]
    (repository / 'data/hrf').mkdir(parents=True)
    (repository / 'data/hrf/index.csv').touch()
    _, steps = script('pretrain_hrf', *['fcn', '--iters', '1000', '--amp', 'auto', '--half', '--cfg-options', 'a=1', 'b=2'])
    assert steps[0].endswith(f'hrf/fcn_1000i --resume --amp auto --cfg-options {schedule(1000)} a=1 b=2')
    assert steps[1].endswith('_1000i_seed0.json --half')
    # What is trained is not trained again, should publishing have been interrupted.
    assert programs(script('pretrain_hrf', 'fcn', '--iters', '1000')[1]) == ['publish_checkpoint']
    done, steps = script('pretrain_hrf', 'deeplabv3', FAIL='tools/train.py', STATUS='2')
    assert (done.returncode, len(steps)) == (2, 1)


# --- reproduce_table1.sh ---


def scoring(head, weights, split='all', amp=''):
    out = f'work_dirs/table1/{head} --show-dir work_dirs/table1/{head}/overlays'
    return f'tools/test.py configs/table1/{head}.py {weights} --split {split} --out {out}{amp}'


REPORT = 'tools/report.py work_dirs/table1 --out work_dirs/table1/report'


def test_table1_scores_all_heads_with_our_weights_or_the_zoos_and_reports(script, add_weights):
    for head in HEADS:
        add_weights(head, ZOO, 'checkpoints')
    files = [add_weights('pspnet'), add_weights('fcn'), add_weights('deeplabv3', ZOO, 'checkpoints')]
    done, steps = script('reproduce_table1')
    assert (done.returncode, done.stderr) == (0, '')
    assert steps == [*(scoring(head, file) for head, file in zip(HEADS, files, strict=True)), REPORT]
    _, steps = script('reproduce_table1', 'fcn', '--amp', 'auto', '--split', 'paper')  # mixed precision is faster here
    assert steps == [scoring('fcn', files[1], 'paper', ' --amp'), REPORT]
    assert script('reproduce_table1', 'fcn', FOUND='work_dirs/table1/fcn/test.json')[1] == [REPORT]


@pytest.mark.parametrize('how', ['several', 'broken'])
def test_table1_names_weights_that_are_in_doubt(script, add_weights, repository, how):
    file = add_weights('fcn')
    if how == 'several':
        add_weights('fcn', '256x256_40k_hrf-{}.pth', text='longer')
    else:
        (repository / file).write_text('half of it')
    done, steps = script('reproduce_table1')
    assert (done.returncode, done.stderr.count('\n'), steps) == (2, 1, []) and file in done.stderr


def test_table1_goes_on_after_a_failed_head_but_not_after_bad_data_or_an_interruption(script, add_weights):
    for head in HEADS:
        add_weights(head)
    done, steps = script('reproduce_table1', FAIL='tools/test.py configs/table1/pspnet.py')
    assert (done.returncode, programs(steps)) == (1, ['test'] * 3 + ['report'])
    for status in (2, 130):
        done, steps = script('reproduce_table1', FAIL='tools/test.py', STATUS=str(status))
        assert (done.returncode, len(steps)) == (status, 1)


@pytest.fixture
def search(phantoms, tmp_path, monkeypatch, capsys, make_record):
    """Find the record of a test of `w.pth` on phantoms, after writing one if a precision is given."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    from octfluid.engine.config import load_config
    from octfluid.engine.record_hook import scored_files
    from octfluid.records.fingerprint import config_sha256

    monkeypatch.chdir(tmp_path)
    shutil.copytree(phantoms, 'data')
    loader = "dict(dataset=dict(data_root='data', scan_size=(64, 64)))"
    Path('c.py').write_text(f"_base_ = '{ROOT}/configs/smoke/phantom.py'\ntest_dataloader = val_dataloader = {loader}\n")
    Path('w.pth').write_text('weights')

    def call(options='', precision=None):
        if precision:
            cfg = load_config('c.py', split='heldout')
            init_default_scope(cfg.default_scope)
            files = scored_files(DATASETS.build(cfg.test_dataloader.dataset))
            found = dict(config_sha256=config_sha256(cfg), checkpoint_sha256=file_sha256('w.pth'))
            record = make_record(kind='test', split='heldout', precision=precision, iterations=0, history=[], **found,
                                 split_sha256=split_sha256(files))  # fmt: skip
            write_record(record, Path('work/test.json'))
        capsys.readouterr()  # mmseg's first import prints
        monkeypatch.setattr(sys, 'argv', ['find', 'work', 'c.py', 'w.pth', '--split', *(options or 'heldout').split()])
        runpy.run_path(str(ROOT / 'scripts/find_test_record.py'))['main']()
        return capsys.readouterr().out.strip() == 'work/test.json'

    return call


@pytest.mark.parametrize(('precision', 'options', 'found'), [
    ('fp32', 'heldout', True), ('bf16', 'heldout', False), ('bf16', 'heldout --amp', True), ('fp32', 'heldout --amp', True),
    ('fp32', 'other', False),
])  # fmt: skip
def test_the_record_of_an_equal_test_is_found(search, precision, options, found):
    assert search(options, precision) == found


@pytest.mark.parametrize('file', ['w.pth', 'c.py', 'data/native/annotations/s03_z00.png'])
def test_other_weights_settings_or_scans_are_another_test(search, file):
    assert search(precision='fp32')
    with open(file, 'ab') as opened:
        opened.write(b"model = dict(decode_head=dict(dropout_ratio=0.3))  # bytes after a picture's end")
    assert not search()


# --- reproduce_table2.sh ---


def test_table2_sweeps_all_rows_and_reports(script, tmp_path):
    (tmp_path / 'w.pth').touch()
    done, steps = script('reproduce_table2', '--init', 'w.pth', '--amp', 'auto')
    assert done.returncode == 0 and steps[0].startswith('tools/sweep.py configs/table2/01_')
    assert steps[0].count('configs/table2/') == 11
    assert steps[0].endswith(f'--work-dir work_dirs/table2 --seeds 0 1 2 --init {tmp_path / "w.pth"} --amp auto')
    assert steps[1:] == ['tools/report.py work_dirs/table2 --out work_dirs/table2/report']


@pytest.mark.parametrize('status', [1, 2, 130])
@pytest.mark.parametrize(('name', 'init'), [('table2', ['--init', 'none']), ('recipe', [])])
def test_failed_runs_are_reported_and_bad_arguments_stop(script, name, init, status):
    done, steps = script(f'reproduce_{name}', '--seeds', '5', *init, FAIL='tools/sweep.py', STATUS=str(status))
    assert done.returncode == status and ('report' in programs(steps)) == (status == 1)


# --- reproduce_recipe.sh ---

WORK = 'work_dirs/recipe'


def sweep(configs, splits='', options='--seeds 0 1 2'):
    return ' '.join(filter(None, ['tools/sweep.py', configs, splits and f'--splits {splits}', f'--work-dir {WORK}', options]))


def test_recipe_runs_every_protocol_then_the_model_then_the_report(script, repository):
    done, steps = script('reproduce_recipe')
    checkpoint = f'{WORK}/compact/all_seed0/iter_900.pth'
    export = (
        f'tools/export_onnx.py configs/duke_dme/compact.py {WORK}/weights/fcn_plain-unet_900i_duke-12345678.pth --half '
        f'--out {WORK}/octfluid-compact.onnx --records {WORK}/compact {WORK}/compact_paper256'
    )
    assert done.returncode == 0 and steps == [
        sweep('configs/duke_dme/compact_paper256.py'),
        sweep('configs/duke_dme/compact.py', 'halves leave-one-subject-out'),
        f'tools/train.py configs/duke_dme/compact.py --split all --seed 0 --work-dir {WORK}/compact/all_seed0 --resume',
        f'tools/publish_checkpoint.py {checkpoint} --out {WORK}/weights --half '
        f'--record {WORK}/compact/all_seed0/train_all_scratch_900i_seed0.json',
        export,
        f'tools/report.py {WORK} --out {WORK}/report',
    ]
    # Again, with scans of other devices: nothing is trained twice.
    (repository / 'data/external').mkdir(parents=True)
    (repository / 'data/external/index.csv').touch()
    assert script('reproduce_recipe')[1][-3:-1] == [
        export, f'tools/test.py configs/external/compact.py {checkpoint} --split all --out {WORK}/external'
    ]  # fmt: skip


def test_a_variant_of_the_recipe_is_scored_on_other_devices_too(script, repository):
    (repository / 'data/external').mkdir(parents=True)
    (repository / 'data/external/index.csv').touch()
    config, whole = 'configs/duke_dme/across_devices.py', f'{WORK}/across_devices/all_seed0'
    assert script('reproduce_recipe', 'across_devices')[1] == [
        sweep(config, 'halves leave-one-subject-out'),
        f'tools/train.py {config} --split all --seed 0 --work-dir {whole} --resume',
        f'tools/test.py configs/external/across_devices.py {whole}/iter_900.pth --split all --out {WORK}/external',
        f'tools/report.py {WORK} --out {WORK}/report',
    ]


@pytest.mark.parametrize(('seeds', 'members'), [('0 1 2', 3), ('4', 0)])
def test_recipe_scores_the_seeds_together(script, seeds, members):
    _, steps = script('reproduce_recipe', SEEDS=seeds)
    paths = [f'{WORK}/compact_paper256/paper_scratch_seed{seed}/iter_900.pth' for seed in seeds.split()]
    expected = f'tools/test.py configs/duke_dme/compact_paper256.py {" ".join(paths)} --out {WORK}/ensemble'
    assert [step for step in steps if step.startswith('tools/test.py')] == [expected] * bool(members)


def test_recipe_scores_left_out_patients_on_graded_columns(script, repository):
    folder = repository / WORK / 'compact/subject03_scratch_seed0'
    folder.mkdir(parents=True)
    graded = f'tools/test.py configs/duke_dme/compact_graded.py {WORK}/compact/subject03_scratch_seed0/iter_900.pth --split'
    assert not any(step.startswith(graded) for step in script('reproduce_recipe')[1])  # its training is not done
    (folder / 'train_subject03_scratch_900i_seed0.json').touch()
    (folder / 'iter_900.pth').touch()
    assert f'{graded} subject03 --out {WORK}/compact/subject03_scratch_seed0/graded' in script('reproduce_recipe')[1]
    (folder / 'graded').mkdir()
    assert not any(step.startswith(graded) for step in script('reproduce_recipe')[1])


# --- reproduce_paper.sh ---


@pytest.fixture
def prepared(repository):
    for name in ('duke_dme', 'hrf'):
        (repository / 'data' / name).mkdir(parents=True)
        (repository / 'data' / name / 'index.csv').touch()


def test_paper_runs_all_from_our_weights_and_trains_them_once(script, prepared):
    done, steps = script('reproduce_paper', '--iters', '1000', '--seeds', '7')
    assert (done.returncode, done.stderr) == (0, '')
    assert programs(steps) == (
        ['train', 'publish_checkpoint'] * 3 + ['test'] * 3 + ['report', 'sweep', 'report'] + ['sweep'] * 6 + ['report']
    )
    assert all('train_cfg.max_iters=1000' in step and '--amp auto' in step for step in steps[:6:2])
    sweeps = [step for step in steps if step.startswith('tools/sweep.py')]
    assert all('--seeds 7' in step and '--amp auto' in step and '--gpus' not in step for step in sweeps)
    weights = [step.partition('--init ')[2].removeprefix('checkpoints/hrf/').split('_')[0].split()[0] for step in sweeps]
    assert weights == ['pspnet', 'none', 'pspnet', 'fcn', 'deeplabv3', 'pspnet', 'pspnet']
    assert '--splits leave-one-subject-out' in sweeps[-2]
    assert '--splits paper-inner1' in sweeps[-1] and sweeps[-1].endswith('--cfg-options train_cfg.val_interval=50')
    assert [Path(word).name[:3] for word in sweeps[-1].split() if word.startswith('configs/')] == ['02_', '06_', '09_', '10_']
    assert sorted(word for step in sweeps[2:5] for word in step.split() if word.startswith('configs/')) == sorted(
        path.relative_to(ROOT).as_posix() for path in (ROOT / 'configs/ablations').glob('*.py')
    )
    done, steps = script('reproduce_paper', FAIL='tools/sweep.py configs/table2')
    assert done.returncode == 1 and 'train' not in programs(steps)
    assert steps[-1].endswith('--out work_dirs/paper/report')


def test_paper_turns_minutes_into_iterations_and_shares_a_gpu(script, prepared):
    done, steps = script('reproduce_paper', '--gpu', '--minutes', '30')
    assert done.returncode == 0
    # The stand-in takes 1.5 s an iteration: 1200 in 30 minutes.
    assert [step.count('train_cfg.max_iters=1200 ') for step in steps if step.startswith('tools/train.py')] == [0, 1, 1, 1]
    assert all('--jobs 4 --gpus 0' in step for step in steps if step.startswith('tools/sweep.py'))
