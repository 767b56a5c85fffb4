"""`compact.py` with wider changes of scale, aspect and gray value, as between devices.

Scored on Duke DME as `compact.py` is, and on scans of other devices by `../external/across_devices.py`.

Ours: docs/results/recipes.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/duke_dme/across_devices.py --amp
"""

_base_ = './compact.py'
scales = [(width, height) for width in (288, 384, 480, 576) for height in (192, 256, 320, 400)]
train_pipeline = [
    *_base_.train_pipeline[:4],
    dict(type='RandomGamma', prob=0.5, low=0.5, high=2.0),
    dict(type='RandomSpeckle', prob=0.3, low=0.0, high=0.4),
    dict(type='RandomNoise', prob=0.3, low=0.0, high=20.0),
    dict(type='RandomBlur', prob=0.3, low=0.5, high=2.0),
    dict(type='RandomLowResolution', prob=0.3, low=0.3, high=1.0),
    dict(type='StandardizeScan'),
    dict(type='RandomApply', prob=0.6, transforms=[dict(type='RandomChoiceResize', scales=scales)]),
    *_base_.train_pipeline[-3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
