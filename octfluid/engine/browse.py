"""The samples that a config's pipelines make, in the order in which a training or scoring takes them."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import octfluid.register  # noqa: F401  registers the classes that configs name, and silences what mmseg says at import
from octfluid.datasets.fluid_dataset import seeded_draws
from octfluid.datasets.integrity import check_image, check_mask
from octfluid.datasets.sampler import CountedSampler
from octfluid.datasets.standardize import HIGHEST, LOWEST
from octfluid.engine.config import DatasetSpec, dataset_spec
from octfluid.engine.misfit import FAILURES, naming_misfits
from octfluid.records.fingerprint import SPEED_SWITCHES
from octfluid.utils.errors import InputError

UNREADABLE = (OSError, *FAILURES)


@dataclass(frozen=True)
class Sample:
    """What a pipeline made of one scan.

    Attributes:
        name: Of the scan.
        position: Place in the order in which samples are made, from 0.
        image: RGB, uint8 (H, W, 3); of a standardised scan, the range that its values are cut off at is brought to 0..255.
        mask: Class numbers and the ignored value, uint8 (h, w). In training h, w are H, W; a scoring pipeline may leave the
            mask as large as the scan and enlarge the image.
        resized: (height, width) in pixels of the whole scan at the image's scale; the image is a window of it. That of the
            image where the pipeline resizes more than once, of which a sample tells the last factor only.
        flip: ``'horizontal'``, ``'vertical'``, ``'diagonal'`` or None.
    """

    name: str
    position: int
    image: np.ndarray
    mask: np.ndarray
    resized: tuple[int, int]
    flip: str | None


def samples_of(cfg: Config, subset: str, number: int, repeats: int = 1) -> list[Sample]:
    """Make the first samples that a config's dataloader makes, with its dataset, pipeline, sampler and seed.

    Args:
        cfg: A resolved config.
        subset: ``'train'``: what a training of one process with the config's ``randomness.seed`` draws first. ``'val'``: what
            scoring takes first.
        number: Scans to take; all of them if there are fewer.
        repeats: Samples of each scan: those of the first so many passes through the data. 1 for ``'val'``.

    Returns:
        In the order in which the scans are first drawn, the samples of one scan behind each other.

    Raises:
        InputError: The data set, a file of a sample, or the pipeline is not sound, or the sampler does not fix what is random.
    """
    init_default_scope('mmseg')
    settings = cfg[f'{subset}_dataloader']
    kept = {key: value for key, value in settings.items() if key not in SPEED_SWITCHES}
    kept['dataset'] = {**settings.dataset, 'cache_bytes': 0}  # a few samples are no reason to read all scans
    with naming_misfits(f'{cfg.filename}: {subset}_dataloader cannot be built'):
        loader = Runner.build_dataloader({**kept, 'num_workers': 0}, seed=cfg.randomness.seed)
    if subset == 'train' and not isinstance(loader.sampler, CountedSampler):
        raise InputError(
            f'{cfg.filename}: train_dataloader.sampler is {type(loader.sampler).__name__}, with which no seed says how a scan '
            'is augmented; expected CountedSampler'
        )
    of_scan: dict[int, list[tuple[int, Any]]] = {}
    for position, draw in enumerate(islice(loader.sampler, repeats * len(loader.dataset))):
        of_scan.setdefault(draw.index if subset == 'train' else draw, []).append((position, draw))
    draws = list(of_scan.items())[:number]
    spec = dataset_spec(cfg)
    for index, _ in draws:
        _check_files(spec, loader.dataset.get_data_info(index), loader.dataset.truth_dir == spec.size_dir)
    steps = str(settings.dataset.pipeline)
    return [_sample(loader, position, draw, steps) for _, of_one in draws for position, draw in of_one]


def _check_files(spec: DatasetSpec, info: dict, one_size: bool) -> None:
    found, problems = check_image(Path(info['img_path']), spec.size, spec.image_modes)
    expected = (spec.size or (found and found.shape)) if one_size else None
    problems += check_mask(Path(info['seg_map_path']), expected, len(spec.classes), spec.ignore_index)[1]
    if problems:
        raise InputError(f'{problems[0]}; tools/check_dataset.py checks every file of a data set')


def _sample(loader: DataLoader, position: int, draw: Any, steps: str) -> Sample:
    name = loader.dataset.get_data_info(getattr(draw, 'index', draw))['name']
    try:
        with seeded_draws(0):  # only for a scoring pipeline that draws: a draw of training brings its own seed
            packed = loader.dataset[draw]
        meta = packed['data_samples'].metainfo
        image = packed['inputs'].numpy().transpose(1, 2, 0)
        mask = packed['data_samples'].gt_sem_seg.data[0].numpy().astype(np.uint8)
    except UNREADABLE as error:
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise InputError(f'{name}: the pipeline makes no image with a mask of it ({reason}); check its steps') from error
    factors = np.broadcast_to(meta.get('scale_factor', 1.0), 2)[::-1]
    resized = tuple(round(side * float(factor)) for side, factor in zip(meta['ori_shape'], factors, strict=True))
    if steps.count("Resize'") > 1:
        resized = image.shape[:2]
    if "'StandardizeScan'" in steps:
        image = (image - LOWEST) * (255 / (HIGHEST - LOWEST))
    return Sample(name, position, _rgb(image), mask, resized, meta['flip_direction'] if meta.get('flip') else None)


def _rgb(image: np.ndarray) -> np.ndarray:
    """Return what mmcv loads, (H, W, 1) or (H, W, 3) in the order blue, green, red, as RGB uint8 (H, W, 3)."""
    values = np.rint(image).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(values[:, :, ::-1], (*image.shape[:2], 3)))
