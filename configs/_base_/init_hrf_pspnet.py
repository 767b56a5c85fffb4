"""Fine-tuning starts from a PSPNet U-Net trained on HRF retinal vessels.

The first pattern that matches a file is taken: our own published weights, then the OpenMMLab zoo's checkpoint. Both have two
classes, so every tensor is loaded, the classifier included, as the paper did; `reinit` would name the heads that start anew.
Training never falls back to random weights: that takes `--init none`.
"""

init = dict(
    files=[
        'checkpoints/hrf/pspnet_unet_s5-d16_*.safetensors',
        'checkpoints/pspnet_unet_s5-d16_256x256_40k_hrf_20201227_181818-fdb7e29b.pth',
    ],
    reinit=[],
)
