import importlib.util
import sys
from pathlib import Path

import pytest

from octfluid.records.record import write_record
from octfluid.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'sweep.py'
CONFIG = ROOT / 'configs' / 'table2' / '10_crop320_wd1e-4.py'

# Stands in for tools/train.py: copies the prepared record of its seed, or fails where there is none.
FAKE_TRAIN = """
import shutil, sys
from pathlib import Path

arguments = sys.argv[1:]
seed, out = (arguments[arguments.index(name) + 1] for name in ('--seed', '--work-dir'))
record = Path(__file__).with_name(f'record_{seed}.json')
if not record.exists():
    sys.exit('error: nothing prepared')
shutil.copy(record, Path(out) / record.name)
"""


def load_tool():
    spec = importlib.util.spec_from_file_location('sweep_tool', TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.fixture
def sweep(monkeypatch, tmp_path):
    """Call the tool's main in this process, with the fake training; returns its exit status."""
    tool = load_tool()
    (tmp_path / 'fake_train.py').write_text(FAKE_TRAIN)
    monkeypatch.setattr(tool, 'TRAIN', tmp_path / 'fake_train.py')

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['sweep.py', *map(str, arguments), '--work-dir', str(tmp_path / 'work')])
        return tool.main()

    return call


def write_data(root):
    """Write the lists of a data set of two subjects with one image each, which is all that planning a sweep reads."""
    (root / 'splits').mkdir(parents=True)
    (root / 'index.csv').write_text('name,subject,slice\ns01_z10,1,10\ns02_z10,2,10\n')
    for split, train, val in (('paper', 1, 2), ('subject01', 2, 1), ('subject02', 1, 2)):
        (root / 'splits' / f'{split}_train.txt').write_text(f's0{train}_z10\n')
        (root / 'splits' / f'{split}_val.txt').write_text(f's0{val}_z10\n')


def test_leave_one_subject_out_is_swept_and_pooled(sweep, make_record, tmp_path, capsys):
    pytest.importorskip('mmengine')
    from octfluid.engine.config import load_config
    from octfluid.records.fingerprint import config_sha256

    write_data(tmp_path / 'data')
    arguments = [CONFIG, '--init', 'none', '--seeds', 0, '--cfg-options', f'data_root={tmp_path / "data"}', '--splits']
    with pytest.raises(InputError, match=r'train6-10_test1-5_train\.txt, which halves stands for'):
        sweep(*arguments, 'halves')
    with pytest.raises(InputError, match='splits given more than once: subject02'):
        sweep(*arguments, 'subject02', 'leave-one-subject-out')
    for subject, tp in ((1, 30), (2, 10)):
        split = f'subject0{subject}'
        record = make_record(
            [(tp, 10, 20, 65506 - tp)], split=split, config_sha256=config_sha256(load_config(CONFIG, split=split))
        )
        record['images'][0].update(name=f's0{subject}_z10', subject=subject)
        folder = tmp_path / 'work' / CONFIG.stem / f'{split}_scratch_seed0'
        write_record(record, folder / 'r.json')
        assert sweep(*arguments, 'leave-one-subject-out') == (1 if subject == 1 else 0)
        output = capsys.readouterr().out
        title = f'leave-one-subject-out, {CONFIG.stem} scratch seed 0: '
        assert f'2 runs: {subject} done before, {2 - subject} to do, 1 at a time' in output
        assert f'note: {subject} of those done were trained with --amp, and stay as they are' in output
        if subject == 1:
            assert output.splitlines()[-1] == f'{title}pooled scores withheld, no complete record of subject02'
    # Fluid: 2 x 40 of 2 x 40 + 20 + 40.
    assert output.splitlines()[-1].startswith(title)
    assert output.splitlines()[-1].endswith('foreground Dice 57.14 %, pooled over 2 folds, 2 images')

    (tmp_path / 'data' / 'splits' / 'subject02_train.txt').write_text('s01_z10\ns02_z10\n')
    with pytest.raises(InputError, match=r"'s02_z10' is in both subject02_train\.txt and"):
        sweep(*arguments, 'leave-one-subject-out')


def test_slurm_is_handed_the_waiting_runs(sweep, make_record, tmp_path, monkeypatch, capsys):
    pytest.importorskip('mmengine')
    from octfluid.engine import slurm as cluster
    from octfluid.engine.sweep import Outcome

    write_data(tmp_path / 'data')
    calls = []

    def run_on_cluster(runs, command, parameters, on_outcome):
        calls.append(([run.seed for run in runs], command, parameters))
        return [Outcome(run, 'failed', message='no luck') for run in runs]

    monkeypatch.setattr(cluster, 'require_slurm', lambda: None)
    monkeypatch.setattr(cluster, 'run_on_cluster', run_on_cluster)
    status = sweep(
        CONFIG, '--init', 'none', '--seeds', 0, 1, '--cfg-options', f'data_root={tmp_path / "data"}',
        '--executor', 'slurm', '--slurm', 'time=60', 'partition=gpu',
    )  # fmt: skip
    assert status == 1
    assert calls == [([0, 1], [sys.executable, str(tmp_path / 'fake_train.py')], {'time': 60, 'partition': 'gpu'})]
    output = capsys.readouterr()
    assert '2 runs: 0 done before, 2 to do, each as a job' in output.out
    assert 'paper_scratch_seed1: no luck' in output.err


def test_sweep_of_a_real_config_reports_skips_and_goes_on(sweep, make_record, tmp_path, capsys):
    pytest.importorskip('mmengine')
    from octfluid.engine.config import load_config
    from octfluid.records.fingerprint import config_sha256

    write_data(tmp_path / 'data')
    digest = config_sha256(load_config(CONFIG))
    write_record(make_record(config_sha256=digest), tmp_path / 'record_0.json')
    arguments = [CONFIG, '--init', 'none', '--seeds', 0, 1, '--cfg-options', f'data_root={tmp_path / "data"}']
    page = tmp_path / 'page.pth'
    page.write_text('<!DOCTYPE html><html>404</html>')
    with pytest.raises(InputError, match=r'page\.pth'):
        sweep(CONFIG, '--init', page, *arguments[3:])
    with pytest.raises(InputError, match="unknown split 'papre'; did you mean 'paper'"):
        sweep(*arguments, '--splits', 'papre')
    assert not (tmp_path / 'work').exists()
    assert sweep(*arguments) == 1
    output = capsys.readouterr()
    assert '2 runs: 0 done before, 2 to do, 1 at a time' in output.out
    assert '81.57' in output.out  # mDice of the fixture's record
    folder = tmp_path / 'work' / CONFIG.stem / 'paper_scratch_seed1'
    line = f'failed: {CONFIG.stem} paper_scratch_seed1: error: nothing prepared (exit status 1); log: {folder / "train.log"}'
    assert line in output.err.splitlines()

    write_record(make_record(config_sha256=digest, seed=1), tmp_path / 'record_1.json')
    assert sweep(*arguments) == 0
    output = capsys.readouterr()
    assert '2 runs: 1 done before, 1 to do' in output.out
    assert 'failed' not in output.out + output.err


@pytest.mark.parametrize(('given', 'jobs'), [('', 1), ('--gpus 0,1', 2), ('--gpus 0,1 --jobs 4', 4)])
def test_jobs_follow_the_gpus(monkeypatch, given, jobs):
    monkeypatch.setattr(sys, 'argv', ['sweep.py', 'a.py', '--seeds', '0', *given.split(), '--seeds', '1'])
    args = load_tool().parse_args()
    assert (args.jobs, args.seeds) == (jobs, [0, 1])
