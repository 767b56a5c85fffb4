import numpy as np
import pytest
from mmengine.registry import init_default_scope
from tiny_data import NAMES, SIZE, save

import octfluid.register  # noqa: F401


@pytest.fixture(autouse=True)
def registry_scope():
    init_default_scope('mmseg')


@pytest.fixture
def phantom_set(phantoms):
    """Make a data set of the 64x64 phantoms from a pipeline; keyword arguments go to the data set."""
    from octfluid.datasets.fluid_dataset import PhantomDataset

    def make(pipeline, subset='train', **settings):
        prefix = dict(img_path='native/images', seg_map_path='native/annotations')
        arguments = dict(data_root=str(phantoms), data_prefix=prefix, ann_file=f'splits/heldout_{subset}.txt')
        return PhantomDataset(**{**arguments, 'pipeline': list(pipeline), **settings})

    return make


@pytest.fixture
def hrf(tmp_path, write_hrf):
    """Make the training set of three photographs of 64x96 from a pipeline; keyword arguments go to the data set."""
    from octfluid.datasets.fluid_dataset import HRFDataset
    from octfluid.datasets.prepare.hrf import prepare

    prepare(write_hrf(tmp_path / 'raw'), tmp_path / 'hrf')

    def make(pipeline, **settings):
        prefix = dict(img_path='native/images', seg_map_path='native/annotations')
        arguments = dict(data_root=str(tmp_path / 'hrf'), data_prefix=prefix, ann_file='splits/usual_train.txt')
        return HRFDataset(**arguments, pipeline=list(pipeline), **settings)

    return make


@pytest.fixture
def root(tmp_path):
    """Four 4x6 scans; the training masks of s01_z10 and s02_z10 hold 6 and 3 pixels of fluid."""
    root = tmp_path / 'data'
    for kind in ('images', 'annotations'):
        (root / 'small' / kind).mkdir(parents=True)
    for gray, name in enumerate(NAMES, start=90):
        mask = np.zeros(SIZE, np.uint8)
        mask[0, : {'s01_z10': 6, 's02_z10': 3}.get(name, 0)] = 1
        image = np.full(SIZE, gray, np.uint8)
        image[-1, -1] = 0
        save(root / f'small/images/{name}.png', image)
        save(root / f'small/annotations/{name}.png', mask)
    (root / 'splits').mkdir()
    (root / 'splits/half_train.txt').write_text('s01_z10\ns01_z15\ns02_z10\n')
    (root / 'splits/half_val.txt').write_text('s03_z10\n')
    (root / 'splits/all_train.txt').write_text('\n'.join(NAMES) + '\n\n')
    rows = [f'{name},{int(name[1:3])},{int(name[5:])},x' for name in NAMES]
    (root / 'index.csv').write_text('name,subject,slice,more\n' + '\n'.join(rows) + '\n')
    return root
