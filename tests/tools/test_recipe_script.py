import os
import subprocess

import pytest

# Stands in for Python: notes what it is asked to run, and leaves behind what the training on all scans would.
NOTING = """#!/usr/bin/env bash
[[ $1 == -c ]] && exit 0
echo "$*" >> "$NOTES"
if [[ $1 == tools/train.py ]]; then
    [[ -n ${FAIL_TRAINING-} ]] && exit 1
    while [[ $1 != --work-dir ]]; do shift; done
    mkdir -p "$2" && touch "$2/iter_900.pth" "$2/train_all_scratch_900i_seed0.json"
fi
if [[ $1 == tools/publish_checkpoint.py ]]; then
    while [[ $1 != --out ]]; do shift; done
    mkdir -p "$2" && touch "$2/fcn_plain-unet_900i_duke-12345678.pth"
fi
if [[ $1 == tools/sweep.py && $* == *compact_paper256* ]]; then
    for seed in ${SEEDS-}; do
        folder=work_dirs/recipe/compact_paper256/paper_scratch_seed$seed
        mkdir -p "$folder" && touch "$folder/iter_900.pth" "$folder/train_paper_scratch_900i_seed$seed.json"
    done
fi
[[ $1 == tools/export_onnx.py ]] && exit "${EXPORT_STATUS:-0}"
[[ $1 == tools/sweep.py ]] && exit "${SWEEP_STATUS:-0}"
exit 0
"""
WORK = 'work_dirs/recipe'


@pytest.fixture
def script(repository, tmp_path):
    """Call scripts/reproduce_recipe.sh from elsewhere with an interpreter that only notes what it is asked to run."""
    fake, notes = tmp_path / 'python', tmp_path / 'notes'
    fake.write_text(NOTING)
    fake.chmod(0o755)

    def call(*arguments, **environment):
        notes.write_text('')
        environment = {**os.environ, 'PYTHON': str(fake), 'NOTES': str(notes), **environment}
        command = ['bash', repository / 'scripts/reproduce_recipe.sh', *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done, notes.read_text().splitlines()

    return call


def sweep(configs, splits='', options='--seeds 0 1 2'):
    return ' '.join(filter(None, ['tools/sweep.py', configs, splits and f'--splits {splits}', f'--work-dir {WORK}', options]))


def test_every_protocol_then_the_model_then_the_report(script):
    done, calls = script()
    assert done.returncode == 0
    checkpoint = f'{WORK}/compact/all_seed0/iter_900.pth'
    assert calls == [
        sweep('configs/duke_dme/compact_paper256.py'),
        sweep('configs/duke_dme/compact.py', 'halves leave-one-subject-out'),
        f'tools/train.py configs/duke_dme/compact.py --split all --seed 0 --work-dir {WORK}/compact/all_seed0 --resume',
        f'tools/publish_checkpoint.py {checkpoint} --out {WORK}/weights --half '
        f'--record {WORK}/compact/all_seed0/train_all_scratch_900i_seed0.json',
        f'tools/export_onnx.py configs/duke_dme/compact.py {WORK}/weights/fcn_plain-unet_900i_duke-12345678.pth --half '
        f'--out {WORK}/octfluid-compact.onnx --records {WORK}/compact {WORK}/compact_paper256',
        f'tools/report.py {WORK} --out {WORK}/report',
    ]


@pytest.mark.parametrize(('seeds', 'members'), [('0 1 2', 3), ('4', 0)])
def test_the_seeds_are_scored_together(script, seeds, members):
    _, calls = script(SEEDS=seeds)
    paths = [f'{WORK}/compact_paper256/paper_scratch_seed{seed}/iter_900.pth' for seed in seeds.split()]
    expected = f'tools/test.py configs/duke_dme/compact_paper256.py {" ".join(paths)} --out {WORK}/ensemble'
    assert [call for call in calls if call.startswith('tools/test.py')] == [expected] * bool(members)


def test_a_second_call_does_not_train_on_all_scans_again(script):
    script()
    _, calls = script()
    assert not [call for call in calls if call.startswith('tools/train.py')]
    assert [call for call in calls if call.startswith('tools/export_onnx.py')]


def test_options_reach_the_sweeps_and_mixed_precision_the_training(script):
    _, calls = script('--amp', 'auto', '--seeds', '4', '--jobs', '2')
    assert calls[0] == sweep('configs/duke_dme/compact_paper256.py', options='--amp auto --seeds 4 --jobs 2')
    assert next(call for call in calls if call.startswith('tools/train.py')).endswith(' --resume --amp auto')


def test_ingredients_on_request_and_first(script):
    _, calls = script('--steps')
    assert calls[0].endswith(f'--splits paper-inner1 paper-inner2 paper-inner3 --work-dir {WORK} --seeds 0 1 2')
    assert calls[0].count('configs/duke_dme/steps/') == 9 and ' configs/duke_dme/compact.py ' in calls[0]


def test_native_is_not_exported(script):
    _, calls = script('native')
    assert calls[0] == sweep('configs/duke_dme/native_paper256.py')
    assert not [call for call in calls if call.startswith('tools/export_onnx.py')]


def test_other_devices_where_they_are(script, repository):
    (repository / 'data/external').mkdir(parents=True)
    (repository / 'data/external/index.csv').touch()
    _, calls = script()
    assert calls[-2] == (
        f'tools/test.py configs/external/compact.py {WORK}/compact/all_seed0/iter_900.pth --split all --out {WORK}/external'
    )


@pytest.mark.parametrize(('status', 'code', 'reported'), [(1, 1, True), (2, 2, False), (130, 130, False)])
def test_failed_runs_are_reported_and_bad_arguments_stop(script, status, code, reported):
    done, calls = script(SWEEP_STATUS=str(status))
    assert done.returncode == code
    assert any(call.startswith('tools/report.py') for call in calls) == reported


def test_without_a_network_of_all_scans_there_is_no_model_but_a_report(script):
    done, calls = script(FAIL_TRAINING='1')
    assert done.returncode == 1
    assert [call.split()[0] for call in calls[-2:]] == ['tools/train.py', 'tools/report.py']


def test_a_failed_export_is_remembered_and_reported_after(script):
    done, calls = script(EXPORT_STATUS='2')
    assert done.returncode == 1
    assert [call.split()[0] for call in calls[-2:]] == ['tools/export_onnx.py', 'tools/report.py']


@pytest.mark.parametrize('option', ['--work-dir', '--splits', '--init', '--cfg-options'])
def test_what_the_script_chooses_is_refused(script, option):
    done, calls = script(option, 'x')
    assert (done.returncode, calls) == (2, [])
    assert done.stderr.count('\n') == 1 and option in done.stderr
