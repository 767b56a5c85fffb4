import pytest


@pytest.fixture
def make_record():
    """A valid run record of table 2, row 10; keyword arguments replace fields, `counts` the counts of its two images."""
    from octfluid.evaluation.counts import pooled_metrics

    def make(counts=((30, 10, 20, 65476), (0, 5, 0, 65531)), **changes):
        images = [
            dict(name=f's01_z{index}', subject=1, height=256, width=256, tp=tp, fp=fp, fn=fn, tn=tn, extra={})
            for index, (tp, fp, fn, tn) in enumerate(counts)
        ]
        record = dict(
            schema='octfluid.run/1', kind='train', config='configs/table2/10_crop320_wd1e-4.py', config_sha256='a' * 64,
            overrides={}, git=None, source_sha256='b' * 64, seed=0, deterministic=False, variant='', split='paper',
            split_sha256='c' * 64, init=None, checkpoint_sha256='d' * 64, iterations=400, device='a CPU', precision='bf16',
            versions={'torch': '2.13.0'}, wall_seconds=1.5, images_per_second=2.0, peak_memory_bytes=3,
            metrics=pooled_metrics(images), images=images,
            history=[dict(iteration=10, loss=0.5, lr=0.01), dict(iteration=20, loss=None, lr=0.01)],
        )  # fmt: skip
        return {**record, **changes}

    return make


@pytest.fixture
def hrf_weights():
    """The `init` of a run record that started from HRF weights trained here."""
    return dict(source='hrf-own', name='pspnet_unet_s5-d16_hrf.safetensors', sha256='e' * 64, loaded=172, total=172)
