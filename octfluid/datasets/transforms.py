"""Transforms that MMSegmentation lacks."""

from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

META_KEYS = (
    'img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction',
    'reduce_zero_label', 'name', 'subject', 'slice',
)  # fmt: skip


@TRANSFORMS.register_module()
class PackFluidInputs(PackSegInputs):
    """mmseg's `PackSegInputs`, with the scan's name, subject and slice among the sample's metainfo."""

    def __init__(self, meta_keys: tuple[str, ...] = META_KEYS) -> None:
        super().__init__(meta_keys=meta_keys)
