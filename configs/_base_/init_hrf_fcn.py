"""Fine-tuning starts from an FCN U-Net trained on HRF retinal vessels; how a file is chosen: `init_hrf_pspnet.py`."""

init = dict(
    files=[
        'checkpoints/hrf/fcn_unet_s5-d16_*.safetensors',
        'checkpoints/fcn_unet_s5-d16_256x256_40k_hrf_20201223_173724-d89cf1ed.pth',
    ],
    reinit=[],
)
