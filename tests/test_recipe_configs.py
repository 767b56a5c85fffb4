import copy
import logging
from functools import cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from octfluid.engine.config_difference import difference
from octfluid.engine.training import Request, train

from octfluid.datasets.fluid_dataset import seeded_draws
from octfluid.engine.config import load_config
from octfluid.utils.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / 'configs/duke_dme'
STEPS = sorted((FOLDER / 'steps').glob('*.py'))
# What each step adds, and nothing else: the keys that differ from the step before it.
PIPELINE = 'train_dataloader.dataset.pipeline'
ADDED = {
    '1_dice': {'model.decode_head.loss_decode[1]': 'BatchDiceLoss'},
    '2_fluid_windows': {f'{PIPELINE}[4].prob': '0.0 -> 0.5'},
    '3_flip': {f'{PIPELINE}[3]': 'RandomFlip'},
    '4_geometry': {f'{PIPELINE}[5]': 'RandomResize', f'{PIPELINE}[6]': 'RandomRotate'},
    '5_gray': {
        f'{PIPELINE}[{place}]': name
        for place, name in enumerate(('RandomGamma', 'RandomSpeckle', 'RandomBlur', 'RandomLowResolution'), start=4)
    },
    '6_average': {'custom_hooks[4]': 'EMAHook'},
    '7_deep_supervision': {'model.auxiliary_head': "None -> [{'in_channels': 32"},
    '8_mirror': {'model.mirror': 'False -> True'},
}


@cache
def config(name):
    return load_config(FOLDER / f'{name}.py')


def changes(first, second):
    """What differs between two configs, by key."""
    return dict(line.split(': ', 1) for line in difference(config(first), config(second)))


def parameters(name):
    init_default_scope('mmseg')
    with torch.device('meta'):
        return sum(parameter.numel() for parameter in MODELS.build(config(name).model).parameters())


def test_the_steps_are_those_below():
    assert [path.stem for path in STEPS] == ['0_plain', *ADDED]


@pytest.mark.parametrize(('before', 'after'), [(a.stem, b.stem) for a, b in pairwise(STEPS)])
def test_a_step_adds_one_ingredient_to_the_step_before_it(before, after):
    found = changes(f'steps/{before}', f'steps/{after}')
    assert found.keys() == ADDED[after].keys()
    for key, what in ADDED[after].items():
        assert what in found[key] and (' -> not set' not in found[key])


@pytest.mark.parametrize('name', sorted(path.relative_to(FOLDER).with_suffix('').as_posix() for path in FOLDER.rglob('*.py')))
def test_no_head_begins_with_weights_near_0(name):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(config(name).model)
    MMLogger.get_instance('init_weights')  # the current one may write to a file that is closed by now
    logging.disable(logging.INFO)
    model.init_weights()
    logging.disable(logging.NOTSET)
    heads = [module.conv_seg.weight for module in model.modules() if hasattr(module, 'conv_seg')]
    # mmseg's would be 0.01.
    assert heads and 0.15 < heads[0].std() < 0.35 and all(0.03 < weight.std() < 0.35 for weight in heads)


def test_the_recipe_is_the_last_step_trained_twice_as_long():
    assert changes(f'steps/{STEPS[-1].stem}', 'compact') == {
        'param_scheduler[1].end': '450 -> 900', 'train_cfg.max_iters': '450 -> 900', 'train_cfg.val_interval': '450 -> 900',
    }  # fmt: skip


@pytest.mark.parametrize(('name', 'parts'), [
    ('whole_frame', ('model.data_preprocessor.size', f'{PIPELINE}[11].crop_size')),
    ('wide', ('model.backbone.channels', 'model.decode_head.', 'model.auxiliary_head[')),
    ('unet_s5-d16', ('model.backbone.',)),
    ('pspnet_scratch', ('model.', 'init')),
])  # fmt: skip
def test_what_stands_beside_the_last_step_changes_one_thing_of_it(name, parts):
    found = changes(f'steps/{STEPS[-1].stem}', f'beside/{name}')
    assert found and all(key.startswith(parts) for key in found)


def test_vessel_weights_are_all_that_the_papers_network_gains_beside_the_recipe():
    found = changes('beside/pspnet_scratch', 'beside/pspnet_hrf')
    assert list(found) == ['init'] and found['init'].startswith("None -> {'files': ['checkpoints/hrf/pspnet_")


@pytest.mark.parametrize('name', ['compact', 'native'])
def test_the_papers_scoring_differs_in_its_ground_truth_alone(name):
    assert changes(name, f'{name}_paper256') == {'val_dataloader.dataset.truth_dir': "not set -> 'paper_256'"}


def test_external_scans_meet_the_recipe_as_it_is():
    found = changes('compact', '../external/compact')
    allowed = ('data_root', 'split', 'test_only', 'dataset.type', 'dataset.scan_size', 'dataset.data_root', 'dataset.split')
    assert found and all(key.removeprefix('train_dataloader.').removeprefix('val_dataloader.') in allowed for key in found)


def test_the_compact_network_is_small_and_the_native_one_larger():
    assert 1e6 < parameters('compact') <= 2e6 < parameters('native') < 12e6
    # "A quarter of the paper's width" holds a sixteenth of its parameters, within the range of the plain networks.
    assert parameters('beside/unet_s5-d16') <= 2e6


def run_training_pipeline(steps, tmp_path, seed=0):
    """Send a noise scan of the real size, with a pocket of fluid, through steps of a pipeline; returns scan and result."""
    init_default_scope('mmseg')
    scan = np.random.default_rng(seed).integers(1, 255, (496, 768), dtype=np.uint8)
    mask = np.zeros(scan.shape, np.uint8)
    mask[200:260, 300:420] = 1
    paths = {key: str(tmp_path / f'{key}.png') for key in ('img_path', 'seg_map_path')}
    cv2.imwrite(paths['img_path'], scan)
    cv2.imwrite(paths['seg_map_path'], mask)
    info = dict(**paths, name='s01_z00', subject=1, slice=0, label_map=None, reduce_zero_label=False, seg_fields=[])
    with seeded_draws(seed):
        return scan, Compose(steps)(info)


def test_native_trains_on_standardised_windows(tmp_path):
    steps = config('native').train_dataloader.dataset.pipeline
    fluid = 0
    for seed in range(6):
        _, packed = run_training_pipeline(steps, tmp_path, seed)
        assert packed['inputs'].shape == (1, 320, 512) and packed['inputs'].dtype == torch.float32
        assert packed['inputs'].abs().max() <= 8
        mask = packed['data_samples'].gt_sem_seg.data
        assert mask.shape == (1, 320, 512) and set(mask.unique().tolist()) <= {0, 1, 255}
        fluid += bool((mask == 1).any())
    assert fluid >= 3


@pytest.mark.parametrize('name', sorted(path.relative_to(FOLDER).with_suffix('').as_posix() for path in FOLDER.rglob('*.py')))
def test_windows_of_training_make_a_batch(name):
    init_default_scope('mmseg')
    cfg = config(name)
    window = next(step.crop_size for step in cfg.train_dataloader.dataset.pipeline if step.type == 'FluidCrop')
    # A scan that was made smaller than the window comes in its own size, and is padded with pixels that do not count.
    sizes, samples = [window, (window[0] - 3, window[1] - 5)], []
    for size in sizes:
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, *size, dtype=torch.long))))
    batch = dict(inputs=[torch.ones(1, *size) for size in sizes], data_samples=samples)
    packed = MODELS.build(dict(cfg.model.data_preprocessor))(batch, training=True)
    assert packed['inputs'].shape == (2, 1, *window)
    assert (packed['data_samples'][1].gt_sem_seg.data == 255).sum() == window[0] * window[1] - (window[0] - 3) * (window[1] - 5)


@pytest.mark.parametrize('name', ['compact', 'native'])
def test_training_sees_what_prediction_sees(name, tmp_path):
    cfg = copy.deepcopy(config(name))
    steps = cfg.train_dataloader.dataset.pipeline
    steps = steps[: [step.type for step in steps].index('StandardizeScan') + 1]
    for step in steps:
        if 'prob' in step:
            step.prob = 0.0
    scan, results = run_training_pipeline(steps, tmp_path)
    model = MODELS.build(cfg.model).eval()
    seen = []
    model.logits = lambda scans: seen.append(scans) or torch.zeros(len(scans), 2, *scans.shape[2:])
    model.predict(torch.from_numpy(scan)[None, None].float())
    assert seen[0].shape[2:] == results['img'].shape == (cfg.model.working_size or (496, 768))
    assert seen[0].std() > 0.9
    # Pillow's resize rounds to whole gray values; without antialiasing the two would be far apart on noise.
    assert np.abs(seen[0][0, 0].numpy() - results['img']).mean() < 0.05


def test_scans_of_other_devices_are_not_trained_on(tmp_path):
    path = Path(__file__).resolve().parents[1] / 'configs/external/compact.py'
    with pytest.raises(InputError, match=r'external/compact\.py: is for scoring only') as caught:
        train(load_config(path), Request(str(path), str(tmp_path / 'run'), {}))
    assert '\n' not in str(caught.value) and not (tmp_path / 'run').exists()
