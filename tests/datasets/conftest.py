import numpy as np
import pytest
from tiny_data import NAMES, SIZE, save


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
