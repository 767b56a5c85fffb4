"""Export a trained network as one ONNX file that takes raw scans and runs without torch and without a config."""

import contextlib
import io
import logging
import os
import traceback
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

import octfluid
from octfluid.datasets.config_data import dataset_spec
from octfluid.datasets.splits import load_index
from octfluid.engine.checkpoint import Origin
from octfluid.engine.config import load_config
from octfluid.engine.network import info_of, load_segmentor, pipeline_of, threshold_of
from octfluid.inference.model import ModelInfo, ScanModel
from octfluid.models.export_wrapper import EncoderDecoderProbability, ScanSegmentorProbability
from octfluid.records.fingerprint import ROOT, config_sha256
from octfluid.records.record import result_changing_overrides
from octfluid.utils.atomic import atomic_path
from octfluid.utils.cli import tracked
from octfluid.utils.errors import InputError, WorkError, message_of

OPSET = 20
MOST_DIFFERENT_PIXELS = 1e-3
"""Share of all pixels in which the masks of the file and the network may differ."""
MOST_DIFFERENCE = 1e-3
"""Difference that the two probabilities of a pixel may have."""
_HALF_FROM = 64  # elements from which on 16 bits save more than the cast takes
_PLAIN = ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs', 'PackFluidInputs')  # steps that change no pixel
_SAME = ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'custom_hooks')


class Agreement(NamedTuple):
    """How far an exported file and its network agree."""

    scans: int  # compared
    real: bool  # of the config's data set, not noise
    difference: float  # the greatest between a pixel's two probabilities
    pixels: float  # share in which the masks differ


def load_network(cfg: Config, checkpoint: str | os.PathLike) -> nn.Module:
    """Return a trained network with all its preprocessing: raw scans (N, 1, H, W), 0..255, to the probability of fluid.

    An `EncoderDecoder` works at the size that the test pipeline gives scans of the data set's size, whatever the scan's size.

    Raises:
        InputError: As `load_segmentor`; or a part of the network or of its test pipeline is one that the graph cannot hold.
    """
    from mmseg.models import EncoderDecoder  # not before `octfluid.register` has silenced what it says

    own, spec, kind, lacking = cfg.model.type == 'ScanSegmentor', dataset_spec(cfg), MODELS.get(cfg.model.type), []
    size, scoring = spec and spec.size, cfg.model.get('test_cfg', {})
    for step in pipeline_of(cfg):
        if step.type == 'Resize' and step.get('scale') and not own:
            if not (step.get('keep_ratio') and size is None):
                scale = tuple(step.scale)
                size = mmcv.rescale_size(size[::-1], scale)[::-1] if step.get('keep_ratio') else scale[::-1]
        elif step.type not in _PLAIN:
            lacking.append(f'step {step.type} of the test pipeline')
    if scoring.get('mode') == 'slide' and (own or size is None or np.less(scoring.crop_size, size).any()):
        lacking.append('test_cfg.mode=slide with more than one window')
    if cfg.model.get('data_preprocessor', {}).get('test_cfg'):
        lacking.append('the padding of data_preprocessor.test_cfg')
    if kind and not issubclass(kind, EncoderDecoder):
        lacking.append(f'a {cfg.model.type}, which is no EncoderDecoder')
    if lacking:
        raise InputError(
            f'{cfg.filename}: an ONNX file cannot hold {" and ".join(lacking)}; apply the network as it is, with '
            'tools/predict.py --config --checkpoint'
        )
    network = load_segmentor(cfg, checkpoint)
    if own:
        return ScanSegmentorProbability(network).eval()
    channels = cfg.model.backbone.get('in_channels', 3)
    return EncoderDecoderProbability(network, channels, size, threshold_of(network)).eval()


def export(
    cfg: Config,
    checkpoint: str | os.PathLike,
    out: str | os.PathLike,
    *,
    scores: Sequence[Mapping[str, Any]] = (),
    half: bool = False,
    check: int | None = None,
) -> Agreement:
    """Write a checkpoint as ONNX. The file is kept only if it gives the masks of the network.

    Args:
        cfg: From `octfluid.engine.config.load_config`.
        checkpoint: A file as `octfluid.engine.checkpoint.read_checkpoint` takes it.
        out: The ``.onnx`` file.
        scores: Scores for the file's metadata.
        half: Store weights that float16 holds exactly in 16 bits, such as those published with ``--half``.
        check: Compare on this many scans, evenly spread over the data set; None for all.

    Raises:
        InputError: As `load_network`; or a scan of the data set cannot be read.
        WorkError: ONNX cannot hold the network, or the file gives other masks. No file is left.
    """
    network = load_network(cfg, checkpoint)
    program = _program(network)  # what cannot be exported fails here, before the scans are read
    (scans, real), info = scans_of(cfg), info_of(cfg, checkpoint, network.threshold, [dict(score) for score in scores])
    spread = np.linspace(0, len(scans) - 1, min(check or len(scans), len(scans))).astype(int)
    with atomic_path(out) as temporary:
        temporary.write_bytes(_serialized(program, info, half))
        found = compare(network, ScanModel(temporary), [scans[place] for place in spread], real)
        if found.difference > MOST_DIFFERENCE or found.pixels > MOST_DIFFERENT_PIXELS:
            raise WorkError(
                f'{out}: not written, the exported model differs from the network by up to {found.difference:.2g} in '
                f'probability and in {found.pixels:.2%} of all pixels'
            )
    return found


def _program(network: nn.Module) -> Any:
    sizes = {0: torch.export.Dim('number'), 2: torch.export.Dim('height'), 3: torch.export.Dim('width')}
    example = torch.rand(2, 1, 130, 190) * 255  # more than one scan, and not of the working size
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    silence = io.StringIO()  # the exporter prints its progress and advice
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            warnings.simplefilter('ignore')
            return torch.onnx.export(
                network, (example,), input_names=['scan'], output_names=['probability'], dynamic_shapes={'scan': sizes},
                dynamo=True, opset_version=OPSET, verbose=False,
            )  # fmt: skip
    except Exception as error:
        # The exporter raises many types of exception for what it cannot express; the first of them says what that is.
        cause, parts = error, {id(part): name for name, part in network.named_modules()}
        while cause.__cause__:
            cause = cause.__cause__
        inside = [id(frame.f_locals.get('self')) for frame, _ in traceback.walk_tb(cause.__traceback__)]
        part = ([parts[key] for key in inside if key in parts] or [''])[-1] or 'the network'
        raise WorkError(f'{part} cannot be exported to ONNX ({message_of(cause)[:300]})') from error


def _serialized(program: Any, info: ModelInfo, half: bool) -> bytes:
    import onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(program.model)  # they name files of this machine
    model = program.model_proto
    del model.metadata_props[:]
    if half:
        _store_half(model, onnx)
    onnx.helper.set_model_props(model, info.to_metadata())
    model.producer_name, model.producer_version = 'octfluid', octfluid.__version__
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _store_half(model: Any, onnx: Any) -> None:
    """Store float32 weights that float16 holds exactly in 16 bits, each with a cast that the runtime folds when it loads."""
    casts = []
    for tensor in model.graph.initializer:
        values, name = onnx.numpy_helper.to_array(tensor), tensor.name
        with np.errstate(over='ignore'):
            narrow = values.astype(np.float16)
        if values.dtype == np.float32 and values.size >= _HALF_FROM and np.array_equal(narrow.astype(np.float32), values):
            tensor.CopyFrom(onnx.numpy_helper.from_array(narrow, f'{name}.half'))
            casts.append(onnx.helper.make_node('Cast', [f'{name}.half'], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def scans_of(cfg: Config) -> tuple[list[np.ndarray], bool]:
    """Return all scans of the config's data set and True; without the data, noise of two sizes and False. uint8, (H, W)."""
    spec = dataset_spec(cfg)
    folder = spec and Path(spec.root) / spec.size_dir / 'images'
    if not folder or not folder.is_dir():
        random, size = np.random.default_rng(0), (spec and spec.size) or (496, 768)
        return [random.integers(0, 256, size, dtype=np.uint8) for size in (size, (333, 500))], False
    paths = [folder / f'{name}{spec.image_suffix}' for name in load_index(spec.root)]
    scans = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    if not scans or any(scan is None for scan in scans):
        raise InputError(f'{folder}: a scan of the index is missing or damaged; check with tools/check_dataset.py')
    return scans, True


@torch.no_grad()
def compare(network: nn.Module, model: ScanModel, scans: Sequence[np.ndarray], real: bool) -> Agreement:
    """Compare an exported file with its network (from `load_network`), scan by scan: uint8 (H, W), at least one."""
    difference, differing = 0.0, 0
    for scan in tracked(scans, len(scans), 'comparing'):
        ours = network(torch.from_numpy(scan).float()[None, None])[0, 0].numpy()
        theirs = model.probability(scan[None])[0]
        difference = max(difference, float(np.abs(ours - theirs).max()))
        differing += int(np.count_nonzero((ours > model.info.threshold) != (theirs > model.info.threshold)))
    return Agreement(len(scans), real, difference, differing / sum(scan.size for scan in scans))


def require_same_training(cfg: Config, records: Iterable[tuple[Path, Mapping[str, Any]]], origin: Origin | None = None) -> None:
    """Refuse (InputError) records, whose scores go to the card, of networks trained otherwise than the exported one.

    ``origin`` is how its weights were trained. Scoring may differ.
    """
    origin = origin or Origin()
    changed = [name for name in result_changing_overrides(origin.overrides) if name != 'train_cfg.max_iters']
    known: dict[tuple[str, str], Config] = {}
    for path, record in records:
        name, key = record['config'], (record['config'], record['split'])
        other = known[key] = known.get(key) or load_config(ROOT / name, split=record['split'])
        if config_sha256(other) != record['config_sha256']:
            raise InputError(f'{path}: {name} has been changed since, or overridden; expected records of the config as it is')
        different = [part for part in _SAME if cfg.get(part) != other.get(part)]
        if cfg.train_dataloader.dataset.pipeline != other.train_dataloader.dataset.pipeline:
            different.append('train_dataloader')
        if origin.iterations not in (None, record['iterations']):
            different.append(f'iterations ({record["iterations"]}, the exported network has {origin.iterations})')
        if different or changed:
            raise InputError(
                f'{path}: {name} differs from {cfg.filename} and the exported network in {", ".join(different + changed)}'
            )
