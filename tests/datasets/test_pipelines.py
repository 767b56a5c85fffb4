import json
import tempfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from octfluid.datasets.fluid_dataset import seeded_draws
from octfluid.engine.config import load_config

ROOT = Path(__file__).resolve().parents[2]


@cache
def pipelines(loader):
    """The different pipelines of all configs, by the first config that has each."""
    found = {}
    for path in sorted(ROOT.glob('configs/**/*.py')):
        if '_base_' not in path.parts:
            pipeline = ((load_config(path)[loader] or {}).get('dataset') or {}).get('pipeline')
            found.setdefault(json.dumps(pipeline), (f'{path.parent.name}/{path.stem}', pipeline))
    return {name: pipeline for name, pipeline in found.values() if pipeline}


def run_pipeline(pipeline, mask, seed):
    """Send a scan of noise with this mask through a pipeline; returns the scan's and the mask's pixels."""
    init_default_scope('mmseg')
    scan = np.random.default_rng(seed).integers(0, 256, mask.shape, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        paths = dict(img_path=f'{folder}/scan.png', seg_map_path=f'{folder}/mask.png')
        cv2.imwrite(paths['img_path'], scan)
        cv2.imwrite(paths['seg_map_path'], mask)
        info = dict(
            **paths, name='s01_z00', subject=1, slice=0, graded=(0, 767), label_map=None, reduce_zero_label=False, seg_fields=[]
        )
        with seeded_draws(seed):
            packed = Compose(pipeline)(info)
    return packed['inputs'].numpy(), packed['data_samples'].gt_sem_seg.data[0].numpy()


def cases(name, number):
    """Masks of noise, in which every interpolation would show, with seeds; whole fundus photographs take a second each."""
    for seed in range(2 if name.startswith('hrf') else number):
        rng = np.random.default_rng(seed)
        yield rng.integers(0, 2, rng.integers(40, 81, 2), dtype=np.uint8), seed


@pytest.mark.parametrize('name', pipelines('train_dataloader'))
def test_training_invents_no_label(name):
    steps = pipelines('train_dataloader')[name]
    for truth, seed in cases(name, 8):
        scan, mask = run_pipeline(steps, truth, seed)
        # What a rotation uncovers is declared as no pixel.
        assert set(np.unique(mask)) <= ({0, 1, 255} if 'RandomRotate' in json.dumps(steps) else {0, 1})
        assert (mask == 1).any(), 'the mask has lost its fluid'
        assert scan.shape[1:] == mask.shape


@pytest.mark.parametrize('name', pipelines('val_dataloader'))
def test_testing_leaves_the_truth_as_it_is(name):
    for truth, seed in cases(name, 4):
        assert np.array_equal(run_pipeline(pipelines('val_dataloader')[name], truth, seed)[1], truth)
