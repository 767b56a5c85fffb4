import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from octfluid.engine.browse import samples_of
from octfluid.engine.config import load_config
from octfluid.utils.errors import InputError

CONFIG = Path(__file__).resolve().parents[2] / 'configs/smoke/phantom.py'
GRAY = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(48, 40), backend='pillow'),  # width, height
    dict(type='StandardizeScan'),
    dict(type='PackFluidInputs'),
]


@pytest.fixture
def config(tiny_options):
    """Make a resolved config of the phantoms with other settings."""
    return lambda **options: load_config(CONFIG, {**tiny_options, **options})


def test_standardised_scans_are_shown_between_the_values_that_they_are_cut_off_at(config, phantoms):
    (sample,) = samples_of(config(**{'train_dataloader.dataset.pipeline': GRAY}), 'train', 1)
    with Image.open(phantoms / f'native/images/{sample.name}.png') as scan:
        small = np.asarray(scan.convert('L').resize((48, 40), Image.Resampling.BILINEAR), dtype=float)
    tissue = small[(small > 0) & (small < 255)]
    standard = ((small - tissue.mean()) / tissue.std()).clip(-4, 8)
    expected = 255 * (standard + 4) / 12
    assert sample.image.shape == (40, 48, 3) and (sample.image == sample.image[:, :, :1]).all()
    assert np.abs(sample.image[:, :, 0] - expected).max() < 1
    assert sample.image.std() > 15  # standard deviations as they are would all be black
    assert sample.resized == (40, 48)


def test_a_scan_that_is_resized_twice_is_not_said_to_be_of_a_size_it_never_had(config):
    twice = dict(type='RandomResize', scale=(48, 40), ratio_range=(1.5, 1.5), keep_ratio=True)
    (sample,) = samples_of(config(**{'train_dataloader.dataset.pipeline': [*GRAY[:4], twice, *GRAY[4:]]}), 'train', 1)
    # The last of two factors, 1.5, is of 40x48 pixels and not of the scan's 64x64.
    assert sample.image.shape[:2] == sample.resized == (60, 72)


def test_scans_are_shown_with_masks_of_another_size_that_they_are_scored_against(config, phantoms, tmp_path):
    root = tmp_path / 'phantom'
    shutil.copytree(phantoms, root)
    (root / 'half/annotations').mkdir(parents=True)
    for path in (root / 'native/annotations').iterdir():
        with Image.open(path) as mask:
            Image.fromarray(np.asarray(mask)[::2, ::2]).save(root / 'half/annotations' / path.name)
    cfg = config(**{'data_root': str(root), 'val_dataloader.dataset.truth_dir': 'half'})
    (sample,) = samples_of(cfg, 'val', 1)
    assert (sample.image.shape[:2], sample.mask.shape) == ((64, 64), (32, 32))
    # Where scans and masks are of one size, a mask of another is refused as before.
    small = root / f'half/annotations/{sample.name}.png'
    shutil.copy(small, root / f'native/annotations/{sample.name}.png')
    with pytest.raises(InputError, match=r'is 32x32 \(height x width\); expected 64x64'):
        samples_of(config(data_root=str(root)), 'val', 1)
