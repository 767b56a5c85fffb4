"""The source domain as an MMSegmentation dataset class: fundus photographs with vessel masks."""

from typing import ClassVar

from mmseg.registry import DATASETS

from octfluid.datasets.fluid_dataset import FluidDataset

VESSEL_CLASSES = ('background', 'vessel')
VESSEL_PALETTE = [[0, 0, 0], [0, 114, 178]]


# In place of mmseg's class of this name, which reads another layout and is none of ours to `dataset_spec`.
@DATASETS.register_module(force=True)
class HRFDataset(FluidDataset):
    """The HRF photographs (Budai et al., 2013) with their vessel masks, see `octfluid.datasets.prepare.hrf`.

    Like `FluidDataset`, but the images are RGB and in JPEG format, and class 1 is ``vessel``.
    """

    METAINFO: ClassVar[dict] = dict(classes=VESSEL_CLASSES, palette=VESSEL_PALETTE)
    IMAGE_SUFFIX = '.jpg'
    IMAGE_MODES = ('RGB',)
