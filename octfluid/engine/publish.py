"""From a training checkpoint to a file of weights that can be given away: tensors only, named by its digest, with a card."""

import fnmatch
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

import octfluid
from octfluid.engine.checkpoint import InitialWeights, describe_weights, load_weights, read_checkpoint
from octfluid.engine.config import load_config
from octfluid.engine.misfit import build_network
from octfluid.records import record as records
from octfluid.records.fingerprint import config_name, config_sha256
from octfluid.records.origin import Origin, origin_of
from octfluid.utils.atomic import require_file_names, require_folder, write_bytes, write_json
from octfluid.utils.errors import InputError

SCHEMA = 'octfluid.weights/1'
SUPERSEDED = 'superseded'
_ROOT = Path(octfluid.__file__).resolve().parents[1]
_HEADS = {'FCNHead': 'fcn', 'PSPHead': 'pspnet', 'ASPPHead': 'deeplabv3'}
_DATA = {'HRFDataset': 'hrf', 'DukeDMEDataset': 'duke_dme', 'PhantomDataset': 'phantom'}
# The running mean and variance of batch normalisation: few, and the variance can leave the range of 16 bits.
_KEPT_FLOAT32 = ('running_mean', 'running_var')
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._+-]*')
_LICENCES = {
    'hrf': dict(weights='CC BY 4.0', data='HRF, Budai et al. 2013, doi:10.1155/2013/154860: CC BY 4.0'),
    'duke_dme': dict(
        weights='Apache-2.0',
        data='Duke DME, Chiu et al. 2015, doi:10.1364/BOE.6.001172: published for research, to be cited',
    ),
    'zoo': dict(weights='Apache-2.0 (OpenMMLab model zoo)', data='HRF, Budai et al. 2013, doi:10.1155/2013/154860: CC BY 4.0'),
}
_OTHER_LICENCE = dict(weights='that of the data they were trained on', data='see data/README.md')


@dataclass(frozen=True)
class Published:
    """What a call of `publish` left on disk.

    Attributes:
        weights: The ``.safetensors`` file.
        card: The JSON file beside it.
        moved: Files of the same architecture that were moved to ``superseded/``.
    """

    weights: Path
    card: Path
    moved: tuple[Path, ...]


def publish(
    checkpoint: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    config: str | None = None,
    record: str | os.PathLike | None = None,
    name: str | None = None,
    half: bool = False,
    replace: bool = False,
) -> Published:
    """Write the weights of a checkpoint as ``<name>_<iterations>i_<first 8 hex digits of its SHA-256>.safetensors``.

    Optimizer, schedule and history stay behind. The same weights give the same bytes, and so the same name.

    Args:
        checkpoint: A ``.pth`` or ``.safetensors`` file as `octfluid.engine.checkpoint.read_checkpoint` takes it.
        out_dir: Created when missing.
        config: The config that made the weights; may be left out if there is a record.
        record: The run record of this very checkpoint; its scores and fingerprints go to the card.
        name: Begin of the file name, such as ``pspnet_unet_s5-d16_hrf``; by default from the config's model and data.
        half: Store float tensors in float16, but for the running statistics of batch normalisation; integers stay.
        replace: Move files of the same architecture in ``out_dir`` to ``out_dir/superseded``. Without it they are in the
            way, because fine-tuning would find more than one file to start from.

    Raises:
        InputError: Neither config nor record; the weights do not fit the config or are not finite; the record is of another
            checkpoint or another state of the config; the number of iterations is unknown; or a file or folder is in the way.
    """
    checkpoint, out = Path(checkpoint), Path(out_dir)
    require_folder(out, '--out')
    stored = read_checkpoint(checkpoint)
    run = None if record is None else _own_record(record, checkpoint)
    told = origin_of(checkpoint, stored)
    cfg, config_name = _config_of(config, run, record, told)
    origin = _fitting(cfg, stored['state_dict'], checkpoint)
    architecture, data, iterations = architecture_of(cfg), _data_name(cfg, origin), _iterations(stored, run, checkpoint)
    content, digest = _serialized(stored['state_dict'], half, checkpoint)
    stem = _checked_name(name) if name else f'{architecture}_{data}'
    weights = out / f'{stem}_{iterations}i_{digest[:8]}.safetensors'
    rivals = _rivals(out, architecture, weights.name)
    _require_none([] if replace else rivals)
    card = weights.with_suffix('.json')
    require_file_names([weights, card])
    said = dict(
        file=weights.name, sha256=digest, precision='fp16' if half else 'fp32', iterations=iterations,
        seed=run['seed'] if run else stored.get('meta', {}).get('seed'), config=config_name,
        checkpoint=dict(name=checkpoint.name, sha256=origin.sha256), licence=_LICENCES.get(data, _OTHER_LICENCE),
    )  # fmt: skip
    write_json(card, _card(cfg, run, told) | said)
    write_bytes(weights, content)
    return Published(weights, card, _supersede(rivals))


def _require_none(rivals: list[Path]) -> None:
    if not rivals:
        return
    raise InputError(
        f'{", ".join(map(str, rivals))}: published before, and fine-tuning would not know which of them to start from; '
        f'move the old weights to {SUPERSEDED}/ with --replace, or publish to another folder'
    )


def architecture_of(cfg: Config) -> str:
    """Return head and backbone of a resolved config as the zoo names them: ``pspnet_unet_s5-d16``, ``fcn_plain-unet_s6-d32``.

    Raises:
        InputError: Another head or backbone than those of ``configs/_base_/models``.
    """
    head, backbone = cfg.model.decode_head.type, cfg.model.backbone
    if head not in _HEADS or backbone.type not in ('UNet', 'PlainUNet'):
        raise InputError(
            f'{backbone.type} with {head}: no published name for this network; expected a UNet or PlainUNet with '
            f'{", ".join(_HEADS)}'
        )
    if backbone.type == 'PlainUNet':
        return f'{_HEADS[head]}_plain-unet_s{len(backbone.channels)}-d{2 ** (len(backbone.channels) - 1)}'
    return f'{_HEADS[head]}_unet_s{backbone.num_stages}-d{2 ** sum(backbone.downsamples)}'


def _own_record(path: str | os.PathLike, checkpoint: Path) -> dict[str, Any]:
    record = records.read_record(path)
    found = records.file_sha256(checkpoint)
    if record['checkpoint_sha256'] != found:
        raise InputError(
            f'{path}: is the record of a checkpoint with SHA-256 {record["checkpoint_sha256"][:8]}..., but {checkpoint} has '
            f'{found[:8]}...; expected the record that was written with it'
        )
    return record


def _config_of(config: str | None, run: Mapping | None, record: str | os.PathLike | None, told: Origin) -> tuple[Config, str]:
    """Return the resolved config behind the weights, and its name without any folder above the repository.

    Without a record, split and overrides are those that the weights tell of: the config's own may be others.
    """
    if config is None and run is None:
        raise InputError('neither a config nor a record; expected --config or --record, to say what the weights are')
    path = Path(config) if config is not None else _ROOT / run['config']
    overrides, split = (run['overrides'], run['split']) if run else (told.overrides, told.split)
    cfg = load_config(path, dict(overrides), split=split)
    if told.dataset not in (None, cfg.train_dataloader.dataset.type):
        raise InputError(
            f'{path}: is about {cfg.train_dataloader.dataset.type}, but the weights were trained on {told.dataset}; '
            'publish them with the config that they were trained with'
        )
    if run and config_sha256(cfg) != run['config_sha256']:
        raise InputError(
            f'{path}: differs from the config that {record} was made with; check out the commit that the record names'
        )
    return cfg, config_name(path)


def _fitting(cfg: Config, state_dict: Mapping[str, Any], checkpoint: Path) -> InitialWeights:
    """Load the weights into the config's network, strictly; say where they come from."""
    return describe_weights(checkpoint, *load_weights(build_network(cfg), state_dict, str(checkpoint)))


def _data_name(cfg: Config, origin: InitialWeights) -> str:
    """Name the data the weights were trained on, but let no weights of the zoo pass for our own."""
    dataset = cfg.train_dataloader.dataset.type
    return 'zoo' if origin.source == 'hrf-zoo' else _DATA.get(dataset, dataset)


def _card(cfg: Config, run: Mapping | None, told: Origin) -> dict[str, Any]:
    """Return the part of the card that says what the weights were trained and scored on; scores need a record."""
    return dict(
        schema=SCHEMA,
        config_sha256=config_sha256(cfg),
        overrides=_result_changing(run['overrides'] if run else told.overrides),
        dataset=cfg.train_dataloader.dataset.type,
        split=cfg.split,
        split_sha256=run and run['split_sha256'],
        scores=run and run['metrics'],
    )


def _result_changing(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what does not change a result, such as the folder of the data, which is nobody's business."""
    return {key: value for key, value in overrides.items() if records.result_changing_overrides({key: value})}


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(f'--name {name!r}: expected letters, digits and . _ + -, such as pspnet_unet_s5-d16_hrf')
    return name


def _iterations(stored: Mapping[str, Any], run: Mapping | None, checkpoint: Path) -> int:
    # A test of weights from elsewhere records 0 iterations.
    found = stored.get('meta', {}).get('iter') or (run and run['iterations'])
    if not isinstance(found, int) or found < 1:
        raise InputError(f'{checkpoint}: does not say after how many iterations it was saved; pass its training record')
    return found


def _serialized(state_dict: Mapping[str, Any], half: bool, checkpoint: Path) -> tuple[bytes, str]:
    """Return the bytes of a file with the weights, and their SHA-256."""
    from safetensors.torch import save

    tensors = {}
    for key, tensor in sorted(state_dict.items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point():
            narrow = half and not key.endswith(_KEPT_FLOAT32)
            stored = tensor.to(torch.float16 if narrow else torch.float32)
            if not torch.isfinite(stored).all():
                reason = 'beyond the range of float16; publish without --half' if torch.isfinite(tensor).all() else 'not finite'
                raise InputError(f'{checkpoint}: {key} has values that are {reason}')
            tensor = stored
        tensors[key.removeprefix('module.')] = tensor.clone(memory_format=torch.contiguous_format)
    content = save(tensors, metadata={'format': 'pt'})
    return content, hashlib.sha256(content).hexdigest()


def _rivals(out: Path, architecture: str, name: str) -> list[Path]:
    """Return the files of an architecture that fine-tuning would find beside ``name``; a file is not in its own way."""
    pattern = f'{architecture}_*.safetensors'
    if not fnmatch.fnmatchcase(name, pattern):
        return []
    return sorted(path for path in out.glob(pattern) if path.name != name)


def _supersede(rivals: list[Path]) -> tuple[Path, ...]:
    """Move files and their cards one folder down, where fine-tuning does not look."""
    moved = []
    for path in rivals:
        target = path.parent / SUPERSEDED / path.name
        target.parent.mkdir(exist_ok=True)
        card = path.with_suffix('.json')
        if card.is_file():
            card.replace(target.with_suffix('.json'))
        path.replace(target)
        moved.append(target)
    return tuple(moved)
