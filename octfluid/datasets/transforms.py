"""Transforms that MMSegmentation lacks."""

from typing import Any

from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

META_KEYS = (
    'img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction',
    'reduce_zero_label', 'name', 'subject', 'slice',
)  # fmt: skip


@TRANSFORMS.register_module()
class PackFluidInputs(PackSegInputs):
    """mmseg's `PackSegInputs`, with the scan's name, subject and slice among the sample's metainfo.

    A gray scan is packed as (3, H, W), three views of one plane, because MMSegmentation's tools expect colour; `ScanSegmentor`
    takes the first.
    """

    def __init__(self, meta_keys: tuple[str, ...] = META_KEYS) -> None:
        super().__init__(meta_keys=meta_keys)

    def transform(self, results: dict) -> dict[str, Any]:
        """Pack one sample."""
        packed = super().transform(results)
        if packed['inputs'].shape[0] == 1:
            packed['inputs'] = packed['inputs'].expand(3, -1, -1)
        return packed
