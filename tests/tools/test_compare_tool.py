import importlib.util
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from octfluid.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/analysis_tools/compare_predictions.py'


def load_tool():
    spec = importlib.util.spec_from_file_location('compare_tool', TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def run(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def masks(phantoms):
    """Ground truth of the phantoms that the tiny network is scored on, by name."""
    names = (phantoms / 'splits/heldout_val.txt').read_text().split()
    return {name: cv2.imread(str(phantoms / f'native/annotations/{name}.png'), cv2.IMREAD_UNCHANGED) for name in names}


def test_predictions_are_those_that_test_scores(tiny_network, masks, tmp_path):
    """Counted here from the masks, they agree with the record that testing the same weights writes."""
    from octfluid.engine.training import Request, test

    from octfluid.engine.compare import Network, compare
    from octfluid.engine.config import load_config
    from octfluid.metrics.confusion import image_row
    from octfluid.records.record import read_record

    config, weights = map(str, tiny_network)
    rows = {
        row['name']: row
        for row in read_record(test(load_config(config), Request(config, str(tmp_path), {}), weights))['images']
    }
    _, second, *_, last = masks
    found = compare([Network('one', config, weights), Network('two', config, weights)], [last, second])
    assert list(found) == [last, second]
    for name, compared in found.items():
        assert np.array_equal(compared.truth, masks[name])
        assert list(compared.predictions) == ['one', 'two']
        for mask in compared.predictions.values():
            assert image_row(name, rows[name]['subject'], mask, compared.truth) == rows[name]
    assert any(row['fp'] + row['tp'] for row in rows.values())  # an empty prediction would agree with many


def test_tool_draws_the_scan_with_most_fluid_and_leaves_nothing_else(tiny_network, masks, tmp_path, monkeypatch, capsys):
    fullest = max(masks, key=lambda name: masks[name].sum())
    monkeypatch.setattr(
        sys, 'argv', ['', '--model', 'tiny', *map(str, tiny_network), '--out', str(tmp_path / 'out'), '--scale', '3']
    )
    load_tool().main()
    assert capsys.readouterr().out.splitlines()[-1] == f'wrote {tmp_path}/out/{fullest}.png'
    assert [path.name for path in tmp_path.rglob('*') if path.is_file()] == [f'{fullest}.png']
    picture = cv2.imread(str(tmp_path / 'out' / f'{fullest}.png'))
    assert picture.shape[1] == 3 * 64 * 3 + 2 * 6


def test_what_cannot_be_compared_is_refused_before_anything_is_predicted(tiny_network, phantoms, monkeypatch, tmp_path):
    from octfluid.engine import compare as module
    from octfluid.engine.compare import Network, compare

    def fail(cfg, request, checkpoint):
        raise AssertionError(f'predicted, amp {request.amp}')

    monkeypatch.setattr(module, 'test', fail)
    config, weights = map(str, tiny_network)
    one = Network('one', config, weights)
    trained_on = (phantoms / 'splits/heldout_train.txt').read_text().split()[0]
    for networks, scans, split, message in (
        ([one, one], [], None, "two networks are called 'one'"),
        ([one], [trained_on], None, f"scan '{trained_on}' is not among the 4 that split 'heldout' is scored on"),
        ([one], [], 'holdout', "unknown split 'holdout'; did you mean 'heldout'"),
        ([one, Network('two', config, str(tmp_path / 'no.pth'))], [], None, 'no checkpoint at'),
        ([one, Network('two', str(tmp_path / 'no.py'), weights)], [], None, 'no config file at'),
    ):
        with pytest.raises(InputError, match=message):
            compare(networks, scans, split)
    for amp in (True, False):
        with pytest.raises(AssertionError, match=f'predicted, amp {amp}'):
            compare([one], [trained_on], 'all', amp)


def test_networks_scored_on_other_images_are_refused(tiny_network, monkeypatch):
    from octfluid.engine import compare as module

    config, weights = map(str, tiny_network)
    small, large = np.zeros((4, 4), np.uint8), np.zeros((6, 8), np.uint8)
    sizes = {'one': small, 'two': large}
    monkeypatch.setattr(module, '_predict', lambda network, cfg, scans, amp: {scans[0]: (sizes[network.name],) * 3})
    with pytest.raises(InputError, match="'one' is scored on a scan of 4x4, 'two' on one of 6x8"):
        module.compare([module.Network(name, config, weights) for name in sizes])


@pytest.mark.parametrize(('arguments', 'message'), [
    ([], 'the following arguments are required: --model, --out'),
    (['--model', 'a', 'b', '--out', 'o'], '--model: expected 3 arguments'),
    (['--model', 'a', 'b', 'c', '--out', 'o', '--scale', '0'], '--scale 0: expected 1 or more'),
    (['--model', 'a', 'b', 'c', '--out', 'o', '--scale', '1000'], '--scale 1000: expected 1 or more, and at most 16'),
])  # fmt: skip
def test_bad_arguments_are_one_line_and_status_2(arguments, message):
    done = run(TOOL, *arguments)
    assert (done.returncode, done.stderr.count('\n')) == (2, 1)
    assert message in done.stderr


def test_help_needs_no_torch():
    code = (
        'import runpy, sys\n'
        'try:\n    runpy.run_path(sys.argv[0], run_name="__main__")\n'
        'except SystemExit as stop:\n    sys.exit({"torch", "mmengine", "numpy"} & set(sys.modules) or stop.code)'
    )
    done = run('-c', f'import sys; sys.argv = [{str(TOOL)!r}, "--help"]\n{code}')
    assert (done.returncode, done.stderr) == (0, '')
    assert 'example:\n' in done.stdout
