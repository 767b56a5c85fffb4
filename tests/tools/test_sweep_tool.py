import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from octfluid.engine import sweep as engine
from octfluid.engine.config import load_config
from octfluid.records.fingerprint import config_sha256
from octfluid.records.record import write_record
from octfluid.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'table2' / '10_crop320_wd1e-4.py'


def load_tool():
    spec = importlib.util.spec_from_file_location('sweep_tool', ROOT / 'tools/sweep.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def digest(split=None):
    return config_sha256(load_config(CONFIG, split=split))


@pytest.fixture
def calls(monkeypatch):
    """Let every run fail that is to be trained; returns the seeds, and what the runs are called with."""
    seen = []

    def fail(runs, command, *parameters, on_outcome, **options):
        seen.append(([run.seed for run in runs], command, *parameters, *options.values()))
        return [engine.Outcome(run, 'failed', message='no luck') for run in runs]

    for name in ('run_all', 'run_on_cluster'):
        monkeypatch.setattr(engine, name, fail)
    return seen


@pytest.fixture
def sweep(monkeypatch, tmp_path, calls):
    """Call the tool's main in this process; returns its exit status."""
    write_data(tmp_path / 'data')

    def call(*arguments):
        given = [CONFIG, '--cfg-options', f'data_root={tmp_path / "data"}', '--work-dir', tmp_path / 'work', *arguments]
        monkeypatch.setattr(sys, 'argv', ['sweep.py', *map(str, given)])
        return load_tool().main()

    return call


def write_data(root):
    """Write the lists of a data set of two subjects with one image each, which is all that planning a sweep reads."""
    (root / 'splits').mkdir(parents=True)
    (root / 'index.csv').write_text('name,subject,slice\ns01_z10,1,10\ns02_z10,2,10\n')
    for split, train, val in (('paper', 1, 2), ('subject01', 2, 1), ('subject02', 1, 2)):
        (root / 'splits' / f'{split}_train.txt').write_text(f's0{train}_z10\n')
        (root / 'splits' / f'{split}_val.txt').write_text(f's0{val}_z10\n')


def test_leave_one_subject_out_is_swept_and_pooled(sweep, make_record, tmp_path, capsys):
    arguments = ['--init', 'none', '--seeds', 0, '--splits']
    for splits, named in ((['halves'], 'train6-10_test1-5'), (['subject02', 'leave-one-subject-out'], 'subject02')):
        with pytest.raises(InputError, match=named):
            sweep(*arguments, *splits)
    for subject, tp in ((1, 30), (2, 10)):
        split = f'subject0{subject}'
        record = make_record([(tp, 10, 20, 65506 - tp)], split=split, config_sha256=digest(split))
        record['images'][0].update(name=f's0{subject}_z10', subject=subject)
        folder = tmp_path / 'work' / CONFIG.stem / f'{split}_scratch_seed0'
        write_record(record, folder / 'r.json')
        assert sweep(*arguments, 'leave-one-subject-out') == (1 if subject == 1 else 0)
        output = capsys.readouterr().out
        assert f'2 runs: {subject} done before, {2 - subject} to do' in output and '--amp' in output
        last = output.splitlines()[-1]
        # Fluid: 2 x 40 of 2 x 40 + 20 + 40.
        assert ('subject02' in last) == (subject == 1) and ('Dice 57.14 %' in last) == (subject == 2)

    (tmp_path / 'data' / 'splits' / 'subject02_train.txt').write_text('s01_z10\ns02_z10\n')
    with pytest.raises(InputError, match='s02_z10.*subject02_train'):
        sweep(*arguments, 'leave-one-subject-out')


def test_the_folds_of_ones_own_data_are_pooled(make_record, tmp_path):
    (tmp_path / 'index.csv').write_text('name,subject,slice\n' + ''.join(f'p{fold},{fold},0\n' for fold in (1, 2, 3)))
    outcomes = []
    for fold, tp in ((1, 30), (2, 10), (3, 20)):
        record = make_record([(tp, 10, 20, 65506 - tp)], config='configs/own_data/compact.py', split=f'fold{fold}')
        record['images'][0].update(name=f'p{fold}', subject=fold)
        run = SimpleNamespace(config=CONFIG, split=f'fold{fold}', init='w', seed=0, folder=tmp_path, data_root=tmp_path)
        outcomes.append(SimpleNamespace(run=run, record=record))
    # 2 x 60 of 2 x 60 + 30 + 60.
    assert 'Dice 57.14 %, pooled over 3 folds, 3 images' in load_tool().pooled_lines(outcomes)[0]
    assert load_tool().pooled_lines(outcomes[::2])[0].endswith('no complete record of fold2')


@pytest.mark.parametrize(('options', 'parameters', 'said'), [
    ([], (1, []), '1 at a time'), (['--gpus', '0,2'], (2, ['0', '2']), '2 at a time'),
    (['--executor', 'slurm', '--slurm', 'time=60', 'partition=gpu'], ({'time': 60, 'partition': 'gpu'},), 'each as a job'),
])  # fmt: skip
def test_runs_that_are_done_are_skipped_and_failed_ones_reported(
    sweep, calls, make_record, tmp_path, capsys, options, parameters, said
):
    arguments, folder = ['--init', 'none', '--seeds', 0, 1, *options], tmp_path / 'work' / CONFIG.stem
    write_record(make_record(config_sha256=digest()), folder / 'paper_scratch_seed0/r.json')
    assert sweep(*arguments) == 1
    assert calls == [([1], [sys.executable, str(ROOT / 'tools/train.py')], *parameters)]
    output = capsys.readouterr()
    assert f'2 runs: 1 done before, 1 to do, {said}' in output.out and '81.57' in output.out  # mDice of the fixture's record
    assert 'no luck' in output.err and str(folder / 'paper_scratch_seed1/train.log') in output.err
    write_record(make_record(config_sha256=digest(), seed=1), folder / 'paper_scratch_seed1/r.json')
    assert sweep(*arguments) == 0 and calls[1][0] == []
    assert capsys.readouterr().err == ''


def test_what_cannot_be_swept_is_refused_before_any_run(sweep, calls, tmp_path):
    page = tmp_path / 'page.pth'
    page.write_text('<!DOCTYPE html><html>404</html>')
    for arguments, named in ((['--init', page], r'page\.pth'), (['--init', 'none', '--splits', 'papre'], 'papre')):
        with pytest.raises(InputError, match=named):
            sweep('--seeds', 0, *arguments)
    assert not calls and not (tmp_path / 'work').exists()
