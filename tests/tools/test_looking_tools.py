import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from octfluid.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools/analysis_tools'
ROW6, ROW10 = (str(ROOT / f'configs/table2/{stem}.py') for stem in ('06_crop320', '10_crop320_wd1e-4'))


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a tool's ``main`` in this process, which has torch already; returns the lines it printed."""

    def run(name, *arguments):
        spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
        tool = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tool)
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        tool.main()
        return capsys.readouterr().out.splitlines()

    return run


def test_sheet_is_written_and_nothing_else(tiny_network, call, tmp_path):
    config = tiny_network[0]
    out = tmp_path / 'new' / 'sheet.png'
    assert call('browse_dataset', config, '--out', out, '--number', 2, '--seed', 4) == [f'wrote {out}']
    first = cv2.imread(str(out))
    assert call('browse_dataset', config, '--out', out, '--number', 2, '--cfg-options', 'randomness.seed=4') == [f'wrote {out}']
    assert (cv2.imread(str(out)) == first).all()
    call('browse_dataset', config, '--out', out, '--number', 2)
    assert (cv2.imread(str(out)) != first).any()
    call('browse_dataset', config, '--out', out, '--number', 1, '--subset', 'val', '--split', 'other')
    assert cv2.imread(str(out)).shape[1] < first.shape[1]
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == [out]


def test_sheet_has_a_place_of_its_own(tiny_network, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call('browse_dataset', tiny_network[0], '--number', 1) == ['wrote work_dirs/browse/tiny_train.png']
    assert (tmp_path / 'work_dirs/browse/tiny_train.png').is_file()


def test_refused_input_leaves_no_sheet(tiny_network, call, tmp_path):
    out = tmp_path / 'new' / 'sheet.png'
    with pytest.raises(InputError, match="unknown split 'holdout'"):
        call('browse_dataset', tiny_network[0], '--out', out, '--split', 'holdout')
    with pytest.raises(InputError, match='would be 65 cells; expected at most 64'):
        call('browse_dataset', tiny_network[0], '--out', out, '--number', 65)
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='is a file; expected a folder'):
        call('browse_dataset', tiny_network[0], '--out', tmp_path / 'file' / 'sheet.png')
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_config_is_printed_as_a_config(call, tmp_path):
    from octfluid.engine.config import load_config
    from octfluid.engine.config_difference import difference
    from octfluid.records.fingerprint import config_sha256

    lines = call('print_config', ROW10, '--cfg-options', 'train_cfg.max_iters=7')
    (tmp_path / 'printed.py').write_text('\n'.join(lines))
    printed, expected = load_config(tmp_path / 'printed.py'), load_config(ROW10, {'train_cfg.max_iters': 7})
    assert lines[0] == f'# {ROW10}: config_sha256 {config_sha256(expected)}'
    assert difference(printed, expected) == [] and printed.train_cfg.max_iters == 7


def test_difference_is_one_line_a_key(call):
    from octfluid.engine.config import load_config
    from octfluid.records.fingerprint import config_sha256

    digests = [f'# {path}: config_sha256 {config_sha256(load_config(path))}' for path in (ROW6, ROW10)]
    assert call('print_config', ROW6, ROW10) == [*digests, 'optim_wrapper.optimizer.weight_decay: 0.0005 -> 0.0001']
    same = ['--cfg-options', 'optim_wrapper.optimizer.weight_decay=0.0']
    one, other, *rest = call('print_config', ROW6, ROW10, *same)
    assert rest == ['no difference'] and one.split()[-1] == other.split()[-1] not in digests[0]
    assert call('print_config', ROW6, ROW6) == [digests[0], digests[0], 'no difference']


def test_costs_are_printed(tiny_network, call):
    lines = call('get_flops', tiny_network[0])
    assert lines[0] == f'{tiny_network[0]}: EncoderDecoder, UNet, FCNHead'
    assert lines[-2].startswith('one test image of 64x64: ') and lines[-2].endswith('(whole)')
    assert any(line.startswith('one forward pass of 32x48: ') for line in call('get_flops', tiny_network[0], '--shape', 32, 48))


@pytest.mark.parametrize(('tool', 'arguments', 'message'), [
    ('browse_dataset', [], 'the following arguments are required: CONFIG'),
    ('browse_dataset', [ROW10, '--number', '0'], '--number 0: expected 1 or more'),
    ('browse_dataset', [ROW10, '--seed', '-1'], 'argument --seed: -1: expected a whole number from 0 to 4294967295'),
    ('browse_dataset', [ROW10, '--seed', '1' + 30 * '0'], 'expected a whole number from 0 to 4294967295'),
    ('browse_dataset', [ROW10, '--out', 'sheet.jpg'], '--out sheet.jpg: expected a file name that ends in .png'),
    ('browse_dataset', [ROW10, '--subset', 'test'], "invalid choice: 'test'"),
    ('get_flops', [ROW10, '--shape', '0', '64'], '--shape 0 64: expected 1 or more'),
    ('get_flops', [ROW10, '--shape', '64'], '--shape: expected 2 arguments'),
])  # fmt: skip
def test_bad_arguments_are_one_line_and_status_2(tool, arguments, message, tmp_path):
    done = subprocess.run([sys.executable, TOOLS / f'{tool}.py', *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr.count('\n'), done.stdout) == (2, 1, '')
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('tool', 'arguments'), [
    ('browse_dataset', ['no.py']), ('print_config', [ROW10, 'no.py']), ('get_flops', ['no.py']),
])  # fmt: skip
def test_bad_input_is_one_line_and_status_2(tool, arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOLS / f'{tool}.py'), run_name='__main__')
    captured = capsys.readouterr()
    assert (stop.value.code, captured.out) == (2, '')
    assert captured.err.startswith('error: no config file at no.py; ') and captured.err.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('tool', ['browse_dataset', 'print_config', 'get_flops'])
def test_help_needs_no_torch(tool):
    code = (
        'import runpy, sys\n'
        'try:\n    runpy.run_path(sys.argv[0], run_name="__main__")\n'
        'except SystemExit as stop:\n    sys.exit({"torch", "mmengine", "numpy"} & set(sys.modules) or stop.code)'
    )
    start = f'import sys; sys.argv = [{str(TOOLS / f"{tool}.py")!r}, "--help"]\n{code}'
    done = subprocess.run([sys.executable, '-c', start], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert f'example:\n  python tools/analysis_tools/{tool}.py configs/' in done.stdout
