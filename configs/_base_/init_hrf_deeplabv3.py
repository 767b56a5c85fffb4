"""Fine-tuning starts from a DeepLabV3 U-Net trained on HRF retinal vessels; how a file is chosen: `init_hrf_pspnet.py`."""

init = dict(
    files=[
        'checkpoints/hrf/deeplabv3_unet_s5-d16_*.safetensors',
        'checkpoints/deeplabv3_unet_s5-d16_256x256_40k_hrf_20201226_094047-3a1fdf85.pth',
    ],
    reinit=[],
)
