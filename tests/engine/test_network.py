"""Any segmentor on any scan: the masks are those that tools/test.py scores."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_scans import CONFIG, KINDS, random_weights, scan_options, segmentor

from octfluid.engine.config import load_config
from octfluid.engine.export import load_network
from octfluid.engine.network import NetworkModel, pipeline_of
from octfluid.engine.run import test as run_test
from octfluid.inference import cli
from octfluid.inference.predictor import Predictor
from octfluid.metrics.fluid_metric import FluidMetric
from octfluid.utils.cli import exit_status_of
from octfluid.utils.errors import WorkError


@pytest.fixture
def scored(monkeypatch):
    """What tools/test.py has called a foreground, by name of the scan."""
    found, process = {}, FluidMetric.process

    def note(metric, batch, samples):
        found.update({one['name']: one['pred_sem_seg']['data'][0].cpu().numpy() > 0 for one in samples})
        process(metric, batch, samples)

    monkeypatch.setattr(FluidMetric, 'process', note)
    return found


def test_a_config_that_scores_graded_columns_predicts_whole_scans():
    plain, graded = (pipeline_of(load_config(f'configs/duke_dme/{name}.py')) for name in ('compact', 'compact_graded'))
    assert plain == graded


@pytest.mark.parametrize('kind', [*KINDS, 'scans'])
def test_the_masks_are_those_that_are_scored(kind, phantoms, tiny_options, scored, tmp_path, hurry):
    config, options = (CONFIG, scan_options(phantoms)) if kind == 'scans' else segmentor(kind, tiny_options)
    if kind == 'three classes':  # as irf and srf in the same pockets
        options |= {'data_root': str(shutil.copytree(phantoms, tmp_path / 'three'))}
        for path in (tmp_path / 'three/native/annotations').iterdir():
            mask = np.asarray(Image.open(path)).copy()
            mask[:, ::2] *= 2
            Image.fromarray(mask).save(path)
    weights = random_weights(config, options, tmp_path / 'w.pth', seed=3 if kind == 'scans' else 0)
    cfg = load_config(config, options, split='heldout')
    del cfg.default_hooks.record  # takes longer than all the rest
    run_test(cfg, [str(weights)], str(tmp_path / 'test'))
    predictor = Predictor(NetworkModel(config, weights, options))
    assert len(scored) == 4 and 0.02 < np.mean([*scored.values()]) < 0.98
    for name, mask in scored.items():
        found = predictor.predict(phantoms / f'native/images/{name}.png', probability=True)
        np.testing.assert_array_equal(found.masks[0], mask)
        assert found.probability.dtype == np.float32 and 0 <= found.probability.min() < found.probability.max() <= 1
    if kind != 'windows':
        scan = torch.from_numpy(np.asarray(found.frames[0].gray, np.float32))
        with torch.no_grad():  # what is exported
            exported = load_network(cfg, weights)(scan[None, None])[0, 0].numpy()
        assert np.abs(exported - found.probability[0]).mean() < 1e-5


@pytest.fixture
def network(tiny_options, tmp_path, hurry):
    """Config file and weights of a minute network, as arguments of the command."""
    config, options = segmentor('windows', tiny_options)
    weights = random_weights(config, options, tmp_path / 'w.pth')
    load_config(config, options).dump(tmp_path / 'mine.py')
    return ['--config', str(tmp_path / 'mine.py'), '--checkpoint', str(weights)]


def predict(monkeypatch, scan, out, *arguments):
    monkeypatch.setattr(sys, 'argv', ['predict.py', str(scan), '--out', str(out), *arguments])
    try:
        return exit_status_of(lambda: cli.main(NetworkModel))
    except SystemExit as stop:
        return stop.code


def test_the_command_names_the_network_and_writes_its_masks(network, phantoms, tmp_path, monkeypatch):
    scan = next((phantoms / 'native/images').glob('*.png'))
    assert predict(monkeypatch, scan, tmp_path / 'out', *network) == 0
    manifest = (tmp_path / 'out/manifest.json').read_text()
    named = json.loads(manifest)['model']
    assert (named['file'], named['config']) == ('w.pth', 'mine.py') and str(tmp_path) not in manifest
    expected = Predictor(NetworkModel(network[1], network[3])).predict(scan).masks[0]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f'out/{scan.stem}_mask.png')) > 0, expected)


@pytest.mark.parametrize('change', [
    lambda given: given[:2],
    lambda given: given[2:],
    lambda given: [*given, '--model', 'm.onnx'],
    lambda given: [*given, '--cfg-options', 'test_dataloader=None'],
    lambda given: [*given, '--cfg-options', 'model.decode_head.channels=5'],
    lambda given: torch.save({'state_dict': {}, 'code': print}, given[3]) or given,
], ids=['config alone', 'checkpoint alone', 'two models', 'no pipeline', 'other weights', 'code'])  # fmt: skip
def test_what_cannot_be_loaded_is_one_line_and_leaves_nothing(network, change, phantoms, tmp_path, monkeypatch, capsys):
    scan = next((phantoms / 'native/images').glob('*.png'))
    assert predict(monkeypatch, scan, tmp_path / 'out', *change(network)) == 2
    assert capsys.readouterr().err.count('\n') == 1 and not (tmp_path / 'out').exists()


def test_a_pipeline_that_fails_on_a_scan_names_its_config(network, monkeypatch):
    model = NetworkModel(network[1], network[3])
    monkeypatch.setattr(model.network, 'test_step', lambda _: 1 / 0)
    with pytest.raises(WorkError, match=r'mine\.py: ZeroDivisionError'):
        next(model.stream([np.zeros((64, 64), np.uint8)]))
