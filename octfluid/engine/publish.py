"""Publish the weights of a training checkpoint: one file of tensors, named as in MMSegmentation's model zoo, and a card."""

import hashlib
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from octfluid.datasets.config_data import meta_of, split_of
from octfluid.engine.checkpoint import Origin, describe_weights, load_weights, origin_of, read_checkpoint
from octfluid.engine.config import build_network, load_config
from octfluid.records import record as records
from octfluid.records.fingerprint import ROOT, config_name, config_sha256
from octfluid.utils.atomic import require_file_names, require_folder, write_bytes, write_json
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json

SHORTEST = 500
"""Vessel weights of fewer iterations are poor; publishing them takes ``allow_short``."""
_HEADS = {'FCNHead': 'fcn', 'PSPHead': 'pspnet', 'ASPPHead': 'deeplabv3'}
_DATA = {'HRFDataset': 'hrf', 'DukeDMEDataset': 'duke', 'PhantomDataset': 'phantom'}
_KEPT_FLOAT32 = ('running_mean', 'running_var')  # of batch normalisation: few, and a variance can leave the range of float16
_HRF = 'HRF, Budai et al. 2013, doi:10.1155/2013/154860: CC BY 4.0'
_LICENCES = {
    'hrf': dict(weights='CC BY 4.0', data=_HRF),
    'zoo': dict(weights='Apache-2.0 (OpenMMLab model zoo)', data=_HRF),
    'duke': dict(
        weights='Apache-2.0',
        data='Duke DME, Chiu et al. 2015, doi:10.1364/BOE.6.001172: published for research, to be cited',
    ),
}
_OTHER_LICENCE = dict(weights='that of the data they were trained on', data='see data/README.md')


def publish(
    checkpoint: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    config: str | None = None,
    record: str | os.PathLike | None = None,
    name: str | None = None,
    half: bool = False,
    allow_short: bool = False,
) -> Path:
    """Write the weights of a checkpoint as ``<network>_<crop>_<iterations>_<data>-<8 hex digits>.pth``, with a JSON card.

    The file, whose path is returned, holds ``state_dict`` and ``meta``; the same weights give the same file. The digits begin
    its SHA-256. Without a record, ``scores`` and ``split_sha256`` of the card are null.

    Args:
        checkpoint: A file as `octfluid.engine.checkpoint.read_checkpoint` takes it.
        out_dir: Created when missing.
        config: The config of the training; not needed with a record.
        record: The run record of this checkpoint, for the scores on the card.
        name: Replaces all of the name before the digits.
        half: Store weights in float16. Running statistics of batch normalisation stay float32, integers stay.
        allow_short: Publish vessel weights of fewer than `SHORTEST` iterations.

    Raises:
        InputError: Weights that do not fit the config or are not finite; a record of another checkpoint or config; an unknown
            number of iterations or too few; or other weights of this name.
    """
    checkpoint, out = Path(checkpoint), Path(out_dir)
    require_folder(out, '--out')
    if name and not re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9._+-]*', name):
        raise InputError(f'--name {name!r}: expected letters, digits and . _ + -, such as pspnet_unet_s5-d16_hrf')
    stored = read_checkpoint(checkpoint)
    run = record and records.read_record(record)
    if run and run['checkpoint_sha256'] != file_sha256(checkpoint):
        raise InputError(f'{record}: belongs to another checkpoint than {checkpoint} (checkpoint_sha256 differs)')
    cfg, source, overrides = _config_of(config, run, origin_of(checkpoint, stored))
    dataset, meta = cfg.train_dataloader.dataset.type, stored.get('meta', {})
    origin = describe_weights(str(checkpoint), *load_weights(build_network(cfg), stored['state_dict'], str(checkpoint)))
    data = 'zoo' if origin['source'] == 'hrf-zoo' else _DATA.get(dataset, dataset)
    iterations = meta.get('iter') or (run or {}).get('iterations')  # the record of a test has 0
    seed = run['seed'] if run else meta.get('seed')
    _require_iterations(checkpoint, iterations, SHORTEST if data == 'hrf' and not allow_short else 1)
    # MMSegmentation names the classes of a prediction by ``dataset_meta``.
    kept = dict(iter=iterations, seed=seed, dataset_meta=meta_of(cfg))
    content = _serialized(stored['state_dict'], kept, half, checkpoint)
    digest = hashlib.sha256(content).hexdigest()
    weights = out / f'{name or name_of(cfg, data, iterations)}-{digest[:8]}.pth'
    card = dict(
        schema='octfluid.weights/1', config=config_name(source), config_sha256=config_sha256(cfg),
        # Other overrides, such as the folder of the data, change no result and stay private.
        overrides={key: value for key, value in overrides.items() if records.result_changing_overrides({key: value})},
        dataset=dataset, split=split_of(cfg), split_sha256=run and run['split_sha256'], scores=run and run['metrics'],
        file=weights.name, sha256=digest, precision='fp16' if half else 'fp32', iterations=iterations, seed=seed,
        checkpoint=dict(name=checkpoint.name, sha256=origin['sha256']), licence=_LICENCES.get(data, _OTHER_LICENCE),
    )  # fmt: skip
    _write(weights, content, card)
    return weights


def _require_iterations(checkpoint: Path, iterations: Any, least: int) -> None:
    if not isinstance(iterations, int) or iterations < 1:
        raise InputError(f'{checkpoint}: its number of iterations is unknown; pass its training record')
    if iterations < least:
        raise InputError(f'{checkpoint}: vessel weights of {iterations} iterations; expected {least}, or --allow-short')


def _write(weights: Path, content: bytes, card: dict[str, Any]) -> None:
    path = weights.with_suffix('.json')
    require_file_names([weights, path])
    if path.exists() and read_json(path) != card:
        raise InputError(f'{path}: these weights are published already, with another card; choose another --out')
    write_json(path, card)
    write_bytes(weights, content)


def name_of(cfg: Config, data: str, iterations: int) -> str:
    """Return the name that MMSegmentation's model zoo would give, such as ``pspnet_unet_s5-d16_256x256_8k_hrf``.

    The size is that of the training crop. An InputError asks for a name if the network is not one of ``configs/_base_/models``.
    """
    head, backbone = cfg.model.decode_head.type, cfg.model.backbone
    if head not in _HEADS or backbone.type not in ('UNet', 'PlainUNet'):
        raise InputError(f'{backbone.type} with {head}: no published name for this network; choose one with --name')
    if backbone.type == 'PlainUNet':
        network = f'plain-unet_s{len(backbone.channels)}-d{2 ** (len(backbone.channels) - 1)}'
    else:
        network = f'unet_s{backbone.num_stages}-d{2 ** sum(backbone.downsamples)}'
    steps = cfg.train_dataloader.dataset.pipeline
    crops = ['x'.join(map(str, step.crop_size)) for step in steps if 'crop_size' in step]
    length = f'{iterations}i' if iterations % 1000 else f'{iterations // 1000}k'
    return '_'.join([_HEADS[head], network, *crops[-1:], length, data])


def _config_of(config: str | None, run: Mapping | None, trained: Origin) -> tuple[Config, Path, dict[str, Any]]:
    if config is None and run is None:
        raise InputError('neither a config nor a record; expected --config or --record, to say what the weights are')
    path = Path(config) if config is not None else ROOT / run['config']
    overrides, split = (run['overrides'], run['split']) if run else (trained.overrides, trained.split)
    cfg = load_config(path, dict(overrides), split=split)
    if run and config_sha256(cfg) != run['config_sha256']:
        raise InputError(f'{path}: differs from the config of the record; check out the commit that the record names')
    if trained.dataset not in (None, dataset := cfg.train_dataloader.dataset.type):
        raise InputError(f'{path}: is for {dataset}, but the weights were trained on {trained.dataset}; pass their own config')
    return cfg, path, overrides


def _serialized(state_dict: Mapping[str, Any], meta: dict[str, Any], half: bool, checkpoint: Path) -> bytes:
    tensors = {}
    for key, tensor in sorted(state_dict.items()):
        stored = tensor.detach().cpu()
        if tensor.is_floating_point():
            stored = stored.to(torch.float16 if half and not key.endswith(_KEPT_FLOAT32) else torch.float32)
            if not torch.isfinite(stored).all():  # they were in the checkpoint
                raise InputError(f'{checkpoint}: {key} has values beyond the range of float16; publish without --half')
        # A clone has a storage of its own size; the layout of the training's memory does not reach the file.
        tensors[key.removeprefix('module.')] = stored.clone(memory_format=torch.contiguous_format)
    buffer = io.BytesIO()
    torch.save(dict(meta=meta, state_dict=tensors), buffer)
    return buffer.getvalue()
