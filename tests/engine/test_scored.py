import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from octfluid.engine.config import load_config
from octfluid.engine.scored import fingerprints_of_test
from octfluid.utils.errors import InputError

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'smoke' / 'phantom.py'


@pytest.mark.parametrize('split', ['heldout', 'all'])
def test_fingerprints_are_those_of_the_record_of_the_test(whole, score, tiny_options, tmp_path, split):
    record = score(whole[0] / 'iter_12.pth', tmp_path, split=split)
    cfg = load_config(CONFIG, tiny_options, split=split)
    assert fingerprints_of_test(cfg) == (record['config_sha256'], record['split_sha256'])
    assert cfg.test_dataloader.dataset.subset == 'val'  # left as it was


def test_fingerprints_follow_settings_and_files(phantoms, tiny_options, tmp_path):
    def fingerprints(root, **options):
        return fingerprints_of_test(load_config(CONFIG, {**tiny_options, 'data_root': str(root), **options}, split='all'))

    root = tmp_path / 'copy'
    shutil.copytree(phantoms, root)
    config, files = fingerprints(phantoms)
    assert fingerprints(root) == (config, files)
    slid = fingerprints(root, **{'model.test_cfg': dict(mode='slide', crop_size=(32, 32), stride=(20, 20))})
    assert slid[0] != config and slid[1] == files
    mask = sorted((root / 'native/annotations').glob('*.png'))[0]
    ImageOps.mirror(Image.open(mask)).save(mask)
    assert fingerprints(root)[0] == config and fingerprints(root)[1] != files
    mask.unlink()
    with pytest.raises(InputError, match=f'{mask.name}: cannot be read .*python tools/check_dataset.py .* --split all'):
        fingerprints(root)
