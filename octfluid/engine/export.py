"""From a trained checkpoint to one ONNX file that takes raw scans and needs neither torch nor a config."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

import octfluid.register  # registers what configs name, and silences what mmseg says at import
from octfluid.datasets.splits import load_index
from octfluid.engine.checkpoint import load_weights, read_checkpoint
from octfluid.engine.config import dataset_spec
from octfluid.engine.misfit import build_network
from octfluid.engine.quantize import quantize
from octfluid.inference import ood as domain
from octfluid.inference.model import ModelInfo, ScanModel
from octfluid.models.resample import resize
from octfluid.records.record import file_sha256
from octfluid.utils.atomic import atomic_path
from octfluid.utils.errors import InputError, WorkError

OPSET = 20
MOST_DIFFERENT_PIXELS = 1e-3
"""Share of a set of scans' pixels in which the file's mask may differ from the network's."""
MOST_DIFFERENCE = 1e-3
"""Of the two probabilities of any pixel, unless the file is of 8 bits."""
MOST_LOST = 0.005
"""Of the Dice of fluid, by a file of 8 bits."""
_HALF_FROM = 64  # elements of a weight from which on it pays to store it in 16 bits


@dataclass(frozen=True)
class Agreement:
    """How far an exported file and the network agree.

    Attributes:
        scans: How many scans were compared.
        real: Whether they are those of the config's data set; else they are noise, because it is not there.
        difference: Greatest difference of a pixel's two probabilities.
        pixels: Share of the pixels in which the masks differ.
        dice: Of fluid with the ground truth, pooled over all scans: the network's and the file's, in [0, 1]; None where it was
            not asked for.
    """

    scans: int
    real: bool
    difference: float
    pixels: float
    dice: tuple[float, float] | None = None


class _ScanToProbability(nn.Module):
    """Raw scans (N, 1, H, W) to the probability of fluid (N, 1, H, W)."""

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        self.segmentor = segmentor

    def forward(self, scan: Tensor) -> Tensor:
        return resize(self.segmentor.foreground(scan), scan.shape[2], scan.shape[3]).clamp(0, 1)


def export(
    cfg: Config,
    checkpoint: str | os.PathLike,
    out: str | os.PathLike,
    *,
    scores: Sequence[Mapping[str, Any]] = (),
    half: bool = False,
    int8: bool = False,
) -> Agreement:
    """Write a checkpoint as ONNX and keep the file only if it gives the masks that the network gives.

    Args:
        cfg: From `octfluid.engine.config.load_config`; its network must be a `ScanSegmentor` that takes scans whole.
        checkpoint: A file as `octfluid.engine.checkpoint.read_checkpoint` takes it.
        out: The ``.onnx`` file.
        scores: What the file shall say of how good the model is.
        half: Store weights that float16 holds exactly in it, such as those of a file published with ``--half``; the results
            are the same.
        int8: Do the convolutions in 8 bits, see `octfluid.engine.quantize`; the loss is measured on the config's data set.

    Raises:
        InputError: The network cannot be exported, the checkpoint is missing, unsafe or of another architecture, or the data
            set is unfit or, where 8 bits take it, not there.
        WorkError: The export fails, or the file gives other masks; no file is left.
    """
    network = _network(cfg, Path(checkpoint))
    dataset = _dataset_class(cfg)
    scans, real = scans_of(cfg)
    if int8 and not real:
        where = dataset_spec(cfg).root
        raise InputError(f'{where}: no scans there; --int8 takes those of the config, to choose ranges and measure the loss')
    truths = _truths_of(cfg) if int8 else None
    if truths and [one.shape for one in truths] != [one.shape for one in scans]:
        raise InputError(f'{dataset_spec(cfg).root}: masks of other sizes than their scans; see tools/check_dataset.py')
    info = ModelInfo(
        version=octfluid.__version__,
        classes=dataset_spec(cfg).classes,
        threshold=network.threshold,
        domain=dict(dataset.DOMAIN) | (look_of(cfg, scans) if real else {}),
        weights_sha256=file_sha256(checkpoint),
        scores=[dict(score) for score in scores],
        licence=dataset.LICENCE,
    )
    content = _serialized(network, info, half)
    with atomic_path(out) as temporary:
        temporary.write_bytes(quantize(content, scans) if int8 else content)
        agreement = compare(network, ScanModel(temporary), scans, real, truths)
        _require(agreement, Path(out))
    return agreement


def _require(agreement: Agreement, out: Path) -> None:
    """Raise WorkError if a file differs from its network by more than it may."""
    if agreement.dice is None and (agreement.difference > MOST_DIFFERENCE or agreement.pixels > MOST_DIFFERENT_PIXELS):
        raise WorkError(
            f'{out}: not written, the exported model differs from the network by up to {agreement.difference:.2g} in '
            f'probability and in {agreement.pixels:.2%} of all pixels; expected at most {MOST_DIFFERENCE:g} and '
            f'{MOST_DIFFERENT_PIXELS:.1%}'
        )
    if agreement.pixels > MOST_DIFFERENT_PIXELS:
        raise WorkError(
            f'{out}: not written, 8 bits change {agreement.pixels:.2%} of all pixels; expected at most '
            f'{MOST_DIFFERENT_PIXELS:.1%}; export without --int8'
        )
    if agreement.dice is not None and agreement.dice[0] - agreement.dice[1] > MOST_LOST:
        raise WorkError(
            f'{out}: not written, 8 bits take the fluid Dice on the data set from {agreement.dice[0]:.4f} to '
            f'{agreement.dice[1]:.4f}; expected to lose at most {MOST_LOST:g}; export without --int8'
        )


def _dataset_class(cfg: Config) -> type:
    from mmseg.registry import DATASETS

    return DATASETS.get(cfg.train_dataloader.dataset.type)


def _network(cfg: Config, checkpoint: Path) -> nn.Module:
    if cfg.model.type != 'ScanSegmentor' or cfg.model.test_cfg.mode != 'whole':
        raise InputError(
            f'{cfg.filename}: model.type is {cfg.model.type} with test_cfg.mode={cfg.model.test_cfg.mode}; expected a '
            'ScanSegmentor that takes scans whole, such as configs/duke_dme/compact.py: exported models take raw scans of any '
            'size'
        )
    network = build_network(cfg)
    load_weights(network, read_checkpoint(checkpoint)['state_dict'], checkpoint.name)
    return network.eval()


def _serialized(network: nn.Module, info: ModelInfo, half: bool) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise InputError(f"export needs the package '{error.name}'; install it with pip install 'octfluid[deploy]'") from error
    size = {0: torch.export.Dim('number'), 2: torch.export.Dim('height'), 3: torch.export.Dim('width')}
    example = torch.rand(2, 1, 130, 190) * 255  # no side of it is the working size, and it is more than one scan
    try:
        with _silence():
            program = torch.onnx.export(
                _ScanToProbability(network).eval(), (example,), input_names=['scan'], output_names=['probability'],
                dynamic_shapes={'scan': size}, dynamo=True, opset_version=OPSET, verbose=False,
            )  # fmt: skip
    except Exception as error:
        # The exporter reports what it cannot express through many types of exception.
        raise WorkError(f'the network cannot be exported to ONNX ({" ".join(str(error).split())[:200]})') from error
    model = program.model_proto
    _strip(model)
    if half:
        _store_half(model, onnx)
    onnx.helper.set_model_props(model, info.to_metadata())
    model.producer_name, model.producer_version = 'octfluid', octfluid.__version__
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


@contextlib.contextmanager
def _silence() -> Any:
    """Keep the exporter's progress and advice off the console."""
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter('ignore')
        yield


def _strip(model: Any) -> None:
    """Drop what the exporter notes of the code that each node came from, paths of this machine included."""
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        item.doc_string = ''
        del item.metadata_props[:]
    for item in model.graph.initializer:
        item.doc_string = ''
        del item.metadata_props[:]
    del model.metadata_props[:]


def _store_half(model: Any, onnx: Any) -> None:
    """Store float32 weights that lose nothing by it in 16 bits, each with a cast that the runtime folds when it loads."""
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _HALF_FROM:
            continue
        narrow = values.astype(np.float16)
        if not np.array_equal(narrow.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(narrow, f'{name}.half'))
        casts.append(onnx.helper.make_node('Cast', [f'{name}.half'], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def scans_of(cfg: Config) -> tuple[list[np.ndarray], bool]:
    """Return scans to compare on: all of the config's data set or, where that is not there, noise of its and another size.

    Returns:
        Gray values, uint8 (H, W); and whether they are real.

    Raises:
        InputError: A scan of the data set cannot be read.
    """
    spec = dataset_spec(cfg)
    folder = Path(spec.root) / spec.size_dir / 'images'
    if folder.is_dir():
        paths = [folder / f'{name}{spec.image_suffix}' for name in load_index(spec.root)]
        if not paths:
            raise InputError(f'{spec.root}/index.csv: names no scan; make the data set again')
        return [_read(path) for path in paths], True
    random = np.random.default_rng(0)
    return [random.integers(0, 256, size, dtype=np.uint8) for size in (spec.size or (496, 768), (333, 500))], False


def _truths_of(cfg: Config) -> list[np.ndarray]:
    """Return the masks of all scans of a config's data set, uint8 (H, W), in the order of `scans_of`."""
    spec = dataset_spec(cfg)
    return [_read(Path(spec.root) / spec.size_dir / 'annotations' / f'{name}.png') for name in load_index(spec.root)]


def look_of(cfg: Config, scans: Sequence[np.ndarray]) -> dict[str, Any]:
    """Describe how the scans of a config's data set look, so that whoever predicts is warned of others: ``look``, or nothing.

    Args:
        cfg: A resolved config.
        scans: From `scans_of`, of the data set.
    """
    subjects = [row.subject for row in load_index(dataset_spec(cfg).root).values()]
    look = domain.fit(np.array([domain.features(scan) for scan in scans]), subjects)
    return dict(look=look.to_json()) if look else {}


def _read(path: Path) -> np.ndarray:
    if (scan := cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) is None:
        raise InputError(f'{path}: cannot be read as an image; check the data set with tools/check_dataset.py')
    return scan


@torch.no_grad()
def compare(
    network: nn.Module, model: ScanModel, scans: Sequence[np.ndarray], real: bool, truths: Sequence[np.ndarray] | None = None
) -> Agreement:
    """Compare an exported file with the network it was made from, scan by scan.

    Args:
        network: A `ScanSegmentor` in evaluation.
        model: The file.
        scans: uint8 (H, W), at least one.
        real: Whether they are scans rather than noise.
        truths: Their masks, uint8 (H, W), 1 for fluid, 255 for what does not count.
    """
    wrapped = _ScanToProbability(network)
    difference, differing, pixels = 0.0, 0, 0
    both, marked = np.zeros(2, np.int64), np.zeros(2, np.int64)
    for place, scan in enumerate(scans):
        ours = wrapped(torch.from_numpy(scan).float()[None, None])[0, 0].numpy()
        theirs = model.probability(scan[None])[0]
        difference = max(difference, float(np.abs(ours - theirs).max()))
        masks = np.stack([ours, theirs]) > model.info.threshold
        differing += int(np.count_nonzero(masks[0] != masks[1]))
        pixels += scan.size
        if truths is not None:
            counted, fluid = truths[place] != 255, truths[place] == 1
            both += (masks & fluid).sum((1, 2))
            marked += (masks & counted).sum((1, 2)) + fluid.sum()
    dice = None if truths is None else tuple((2 * both / np.maximum(marked, 1)).tolist())
    return Agreement(len(scans), real, difference, differing / pixels, dice)
