"""How many parameters a network has and how many operations one forward pass takes, as mmengine counts them."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.dataset import Compose
from torch import nn

from octfluid.engine.config import dataset_spec
from octfluid.engine.misfit import FAILURES, build_network, naming_misfits
from octfluid.engine.out_of_memory import is_out_of_memory
from octfluid.utils.errors import InputError

UNITS = ((10**12, 'T'), (10**9, 'G'), (10**6, 'M'))


@dataclass(frozen=True)
class PartCost:
    """What one part of a network costs.

    Attributes:
        parameters: Numbers in its parameters; running means and variances of batch normalisation are none.
        trainable: Those of them that training changes.
        operations: Of one forward pass in evaluation; 0 for a part that does not run, such as an auxiliary head.
    """

    parameters: int
    trainable: int
    operations: int


@dataclass(frozen=True)
class ForwardCost:
    """What one forward pass of one image costs.

    Attributes:
        shape: (channels, height, width) of the input.
        parts: By name, in the network's order, those that hold parameters.
        by_operator: Operations by mmengine's name of the operator, most first.
        uncounted: Names of further operators that ran and that mmengine has no count for.
    """

    shape: tuple[int, int, int]
    parts: dict[str, PartCost]
    by_operator: dict[str, int]
    uncounted: tuple[str, ...]

    @property
    def operations(self) -> int:
        """Operations of the forward pass."""
        return sum(self.by_operator.values())


@dataclass(frozen=True)
class ScanCost:
    """What predicting one test image costs.

    Attributes:
        size: (height, width) of the image that the network is given, in pixels.
        window: (height, width) of a window of slide inference; the image's size when it is predicted whole.
        windows: Their number.
        operations: Of all their forward passes together.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    windows: int
    operations: int


def forward_cost(model: nn.Module, shape: tuple[int, int, int]) -> ForwardCost:
    """Count one forward pass, on the CPU and in evaluation, with mmengine's `FlopAnalyzer`.

    A multiplication and the addition that follows it count as one operation. Counted are convolutions and linear layers
    (without adding their bias), batch normalisation (2 a value), bilinear resizing (4 a new value) and average pooling (1 a
    value); activations, other additions and concatenations are not.

    Args:
        model: Any network whose ``forward`` takes an image batch alone; set to evaluation.
        shape: (channels, height, width) of the input.

    Raises:
        InputError: The network cannot take an input of this shape.
    """
    try:
        analyzer = FlopAnalyzer(model.eval(), (torch.zeros(1, *shape),))
        analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings('none')
        with torch.no_grad():
            operations = analyzer.by_module()
    except FAILURES as error:
        size = 'x'.join(map(str, shape[1:]))
        if is_out_of_memory(error):
            raise InputError(
                f'{size} pixels (height x width): more than the memory of this machine takes; ask for fewer'
            ) from error
        # Under tracing, sizes are tensors, and mmseg's message writes them as such.
        reason = re.sub(r'tensor\((\d+)\)', r'\1', ' '.join(str(error).split()))
        raise InputError(f'the network cannot be given {size} pixels (height x width): {reason}') from error
    parts = {}
    for name, part in model.named_children():
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in part.parameters()]
        if sizes:
            trainable = sum(size for size, changes in sizes if changes)
            parts[name] = PartCost(sum(size for size, _ in sizes), trainable, int(operations[name]))
    uncounted = sorted(name.removeprefix('aten::') for name in analyzer.unsupported_ops())
    return ForwardCost(
        shape,
        parts,
        {name: int(count) for name, count in analyzer.by_operator().most_common()},
        tuple(name for name in uncounted if not name.endswith('dropout')),  # which does nothing in evaluation
    )


def network_cost(cfg: Config, shape: tuple[int, int] | None = None) -> tuple[ForwardCost, ScanCost | None]:
    """Count a config's network: one forward pass, and the prediction of one test image.

    Args:
        cfg: A resolved config. Neither data nor weights are needed.
        shape: (height, width) of the forward pass in pixels; by default a window of slide inference, or the whole test image.

    Returns:
        The cost of the forward pass; the cost of a test image, None where the config leaves the scans' size open.

    Raises:
        InputError: The network or the test pipeline cannot be built, or cannot take this many pixels; or the config leaves the
            scans' size open and there is no ``shape``.
    """
    model, spec = build_network(cfg).eval(), dataset_spec(cfg)
    if spec.size is None and shape is None:
        raise InputError(f'{cfg.filename}: scan_size is None, so scans may have any size; say with --shape which to count')
    channels, *size = _test_image(cfg, model, spec.size or shape)
    window = _window(model, size)
    forward = forward_cost(model, (channels, *(shape or window)))
    if spec.size is None:
        return forward, None
    of_window = forward if forward.shape[1:] == window else forward_cost(model, (channels, *window))
    windows = _windows(model, size)
    return forward, ScanCost(tuple(size), window, windows, windows * of_window.operations)


def cost_lines(forward: ForwardCost, scan: ScanCost | None) -> list[str]:
    """Say in a few lines what a network costs and what was counted.

    Args:
        forward: From `network_cost`.
        scan: Likewise.
    """
    size = _pixels(forward.shape[1:])
    rows = [('', 'parameters', 'trainable', f'operations, {size}')]
    rows += [
        (name, f'{part.parameters:,}', f'{part.trainable:,}', rounded(part.operations) if part.operations else 'does not run')
        for name, part in forward.parts.items()
    ]
    totals = [sum(getattr(part, what) for part in forward.parts.values()) for what in ('parameters', 'trainable')]
    rows.append(('total', *(f'{total:,}' for total in totals), rounded(forward.operations)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        '  '.join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    operators = ', '.join(f'{name} {rounded(count)}' for name, count in forward.by_operator.items())
    lines.append(f'one forward pass of {size}: {rounded(forward.operations)} operations ({operators})')
    if scan is None:
        lines.append('one test image: not counted, since the config leaves the size of the scans open')
    else:
        how = f'{scan.windows} windows of {_pixels(scan.window)}' if scan.window != scan.size else 'whole'
        lines.append(f'one test image of {_pixels(scan.size)}: {rounded(scan.operations)} operations ({how})')
    unknown = ''.join(f', {name}' for name in forward.uncounted)
    return [
        *lines,
        'Sizes are height x width of what the network is given. Operations are those of one image in evaluation, counted by '
        f'mmengine: a multiplication with the addition after it is one. Not counted: activations, concatenations{unknown}, '
        'normalising the image, and bringing the prediction together and to its size. Auxiliary heads serve training only and '
        'do not run in evaluation.',
    ]


def rounded(count: int) -> str:
    """Write a count with a unit and four figures, such as ``'49.55 G'``; one below a million in full."""
    for size, unit in UNITS:
        if count >= size:
            return f'{count / size:.4g} {unit}'
    return f'{count:,}'


def _pixels(size: Sequence[int]) -> str:
    return 'x'.join(map(str, size))


def _test_image(cfg: Config, model: nn.Module, size: tuple[int, int]) -> tuple[int, int, int]:
    """Return (channels, height, width) of what the network is given for a scan of this size.

    Takes a black scan through the test pipeline, so that no data are needed and nothing about its steps is assumed.
    """
    with tempfile.TemporaryDirectory(prefix='octfluid-flops-') as folder:
        path = str(Path(folder, 'black.png'))
        cv2.imwrite(path, np.zeros(size, np.uint8))
        sample = dict(
            img_path=path, seg_map_path=path, name='black', subject=0, slice=0,
            label_map=None, reduce_zero_label=False, seg_fields=[],
        )  # fmt: skip
        with naming_misfits(f'{cfg.filename}: the test pipeline fails'):
            packed = Compose(cfg.test_dataloader.dataset.pipeline)(sample)
            batch = {key: [value] for key, value in packed.items()}
            shape = model.data_preprocessor(batch, False)['inputs'].shape[1:]
            # Such a network brings scans to its own size.
            return (shape[0], *(getattr(model, 'working_size', None) or shape[1:]))


def _window(model: nn.Module, size: Sequence[int]) -> tuple[int, int]:
    if model.test_cfg.mode == 'whole':
        return tuple(size)
    return tuple(min(crop, side) for crop, side in zip(model.test_cfg.crop_size, size, strict=True))


def _windows(model: nn.Module, size: Sequence[int]) -> int:
    if model.test_cfg.mode == 'whole':
        return 1
    # Imported here, after `octfluid.register`, which silences what mmseg says when it is imported.
    from octfluid.models.slide import window_starts

    starts = map(window_starts, size, model.test_cfg.crop_size, model.test_cfg.stride)
    return int(np.prod([len(places) for places in starts]))
