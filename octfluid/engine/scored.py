"""What the record of a test will say of its settings and its data, known before anything is scored."""

import copy
from pathlib import Path

from mmengine.config import Config
from mmseg.registry import DATASETS

import octfluid.register  # noqa: F401  registers the dataset classes
from octfluid.engine.misfit import naming_misfits
from octfluid.records.fingerprint import config_sha256
from octfluid.records.record import split_sha256
from octfluid.utils.errors import InputError


def fingerprints_of_test(cfg: Config) -> tuple[str, str]:
    """Return ``config_sha256`` and ``split_sha256`` of the record that `octfluid.engine.training.test` would write.

    Args:
        cfg: From `octfluid.engine.config.load_config`; stays as it is.

    Raises:
        InputError: The data set has no such split, or a scan or a mask of it cannot be read.
    """
    cfg = copy.deepcopy(cfg)
    cfg.init = None
    if cfg.split == 'all':
        for loader in (cfg.val_dataloader, cfg.test_dataloader):
            loader.dataset.subset = 'train'
    with naming_misfits(f'{cfg.filename}: test_dataloader.dataset cannot be built'):
        dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, pipeline=[]))
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    scored = [(item['name'], Path(item['img_path']), Path(item['seg_map_path'])) for item in items]
    try:
        return config_sha256(cfg), split_sha256(scored)
    except OSError as error:
        raise InputError(
            f'{error.filename}: cannot be read ({error.strerror}); expected a file of split {cfg.split}, '
            f'`python tools/check_dataset.py {cfg.filename} --split {cfg.split}` lists all that is wrong'
        ) from error
