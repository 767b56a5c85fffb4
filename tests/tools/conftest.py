import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repository(tmp_path):
    """A repository of its own, so that nothing is written to this one."""
    root = tmp_path / 'repository'
    root.mkdir()
    shutil.copytree(ROOT / 'scripts', root / 'scripts')
    for name in ('tools', 'configs'):
        (root / name).symlink_to(ROOT / name)
    return root


@pytest.fixture(scope='session')
def tiny_network(phantoms, tiny_options, tmp_path_factory):
    """A config of a minute network on phantoms that needs no overrides, and random weights for it: two files."""
    torch = pytest.importorskip('torch')
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS
    from yapf.yapflib import yapf_api

    from octfluid.engine.config import load_config

    folder = tmp_path_factory.mktemp('tiny_network')
    config = Config.fromfile(ROOT / 'configs/smoke/phantom.py')
    config.merge_from_dict(tiny_options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, 'FormatCode', lambda text, **_: (text, True))  # slow, and nobody reads it
        config.dump(folder / 'tiny.py')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(load_config(folder / 'tiny.py').model)
    torch.save({'state_dict': model.state_dict()}, folder / 'tiny.pth')
    return folder / 'tiny.py', folder / 'tiny.pth'
