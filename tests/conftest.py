import os
import signal
import tempfile
from pathlib import Path

import pytest
from loaded_python import loaded_python

# Read by OpenMP when torch is loaded. Threads that wait in a loop for the next layer of a tiny network slow down whatever else
# runs on the machine, and with it the tests, several times over.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')


def pytest_collection_modifyitems(items):
    """Start with the second tier: of two processes, neither ends with a long test while the other has nothing left to do."""
    items.sort(key=lambda item: item.get_closest_marker('slow') is None)


@pytest.fixture(scope='session')
def phantoms(tmp_path_factory):
    """A tiny prepared data set: 3 subjects with 4 phantoms of 64x64 each; of its splits, `all` has nothing to validate on."""
    from octfluid.datasets.prepare.phantom import write_phantom_dataset

    root = tmp_path_factory.mktemp('data') / 'phantom'
    write_phantom_dataset(root, subjects=3, slices=4, height=64, width=64)
    names = sorted(path.stem for path in (root / 'native' / 'images').glob('*.png'))
    lists = {'other_train': names[4:], 'other_val': names[:4], 'heldout-inner1_train': names[:4],
             'heldout-inner1_val': names[4:8], 'all_train': names}  # fmt: skip
    for stem, members in lists.items():
        (root / 'splits' / f'{stem}.txt').write_text(''.join(f'{name}\n' for name in members))
    return root


@pytest.fixture(scope='session')
def python():
    """An interpreter, for its path, whose processes start with torch and MMSegmentation loaded."""
    with tempfile.TemporaryDirectory() as folder, loaded_python(Path(folder)) as path:
        yield path


@pytest.fixture(scope='session')
def tiny_options(phantoms):
    """Overrides that make `configs/smoke/phantom.py` train in a second: 12 iterations of a minute network."""
    return {
        'data_root': str(phantoms),
        'train_dataloader.dataset.scan_size': (64, 64),
        'val_dataloader.dataset.scan_size': (64, 64),
        'train_dataloader.dataset.pipeline.2.crop_size': (48, 48),
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0,
        'val_dataloader.num_workers': 0,
        'model.backbone.base_channels': 4,
        'model.decode_head.in_channels': 4,
        'model.decode_head.channels': 4,
        'model.auxiliary_head.in_channels': 8,
        'model.auxiliary_head.channels': 4,
        # Without these, so short a training predicts background everywhere, and a test of its scores would prove nothing.
        'model.decode_head.loss_decode.0.class_weight': [0.1, 4.0],
        'train_cfg.max_iters': 12,
        'train_cfg.val_interval': 12,
        'default_hooks.checkpoint.interval': 6,
        'visualizer.vis_backends': [{'type': 'LocalVisBackend'}],
    }


@pytest.fixture
def make_record():
    """A valid run record of table 2, row 10; keyword arguments replace fields, `counts` the counts of its two images."""
    from octfluid.metrics.confusion import pooled_metrics

    def make(counts=((30, 10, 20, 65476), (0, 5, 0, 65531)), **changes):
        images = [
            dict(name=f's01_z{index}', subject=1, height=256, width=256, tp=tp, fp=fp, fn=fn, tn=tn, extra={})
            for index, (tp, fp, fn, tn) in enumerate(counts)
        ]
        record = dict(
            schema='octfluid.run/1', kind='train', config='configs/table2/10_crop320_wd1e-4.py', config_sha256='a' * 64,
            overrides={}, git=None, source_sha256='b' * 64, seed=0, deterministic=False, variant='', split='paper',
            split_sha256='c' * 64, init=None, checkpoint_sha256='d' * 64, iterations=400, device='a CPU', precision='bf16',
            versions={'torch': '2.13.0'}, wall_seconds=1.5, images_per_second=2.0, peak_memory_bytes=3,
            metrics=pooled_metrics(images), images=images,
            history=[dict(iteration=10, loss=0.5, lr=0.01), dict(iteration=20, loss=None, lr=0.01)],
        )  # fmt: skip
        return {**record, **changes}

    return make


@pytest.fixture
def hrf_weights():
    """The `init` of a run record that started from HRF weights trained here."""
    return dict(source='hrf-own', name='pspnet_unet_s5-d16_hrf.safetensors', sha256='e' * 64, loaded=172, total=172)


@pytest.fixture
def write_hrf():
    """Write HRF photographs of 64x96 with masks of 0/255, vessels in rows 10..19, as they are published; returns the folder."""
    import numpy as np
    from PIL import Image

    def write(folder, names=('01_h', '02_dr', '05_g', '06_h', '07_dr')):
        for kind in ('images', 'manual1'):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        mask = np.zeros((64, 96), np.uint8)
        mask[10:20] = 255
        for seed, name in enumerate(names):
            pixels = np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f'images/{name}.{"JPG" if name.endswith("dr") else "jpg"}', 'JPEG')
            Image.fromarray(mask).save(folder / f'manual1/{name}.tif')
        return folder

    return write


@pytest.fixture
def listening():
    """Let a child process hear signals that whoever started the tests (nohup, a shell's background) has it ignore."""

    def listen():
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    return listen
