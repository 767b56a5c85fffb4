"""The compact recipe: a plain U-Net of 1.4 M parameters on scans at 256x384, for machines without a GPU.

Every ingredient is a line here or in the three bases: CE + Dice of fluid over the batch, windows around fluid, changes of
position and gray value that OCT scans allow, averaged weights, deep supervision, mirror images in scoring. What each is worth:
docs/recipe.md, and `steps/`, which adds them one at a time. Scored at the scans' native 496x768 pixels.

Ours: docs/results/recipes.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/duke_dme/compact.py --amp
"""

_base_ = [
    '../_base_/models/plain_unet.py',
    '../_base_/datasets/duke_dme_scans.py',
    '../_base_/schedules/adamw_900.py',
    '../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size=_base_.window))
custom_hooks = [_base_.average]
