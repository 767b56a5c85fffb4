import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from octfluid.datasets.fluid_dataset import HRFDataset
from octfluid.datasets.spec import check_data
from octfluid.engine.config import load_config


def test_samples(hrf, tmp_path):
    dataset = hrf([dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackFluidInputs')])
    assert DATASETS.get('HRFDataset') is HRFDataset
    assert dataset.metainfo['classes'] == ('background', 'vessel') and len(dataset) == 3
    sample = dataset[1]
    assert (sample['data_samples'].name, sample['data_samples'].subject) == ('02_dr', 102)
    with Image.open(tmp_path / 'hrf/native/images/02_dr.jpg') as image:
        expected = np.asarray(image)[:, :, ::-1].transpose(2, 0, 1).astype(int)
    # Two JPEG decoders may round differently.
    assert np.abs(sample['inputs'].numpy().astype(int) - expected).max() <= 3
    truth = sample['data_samples'].gt_sem_seg.data[0]
    assert truth[10:20].eq(1).all() and truth.sum() == 960


@pytest.mark.usefixtures('hrf')
def test_only_colour_photographs_in_jpeg(tmp_path, request):
    options = {'data_root': str(tmp_path / 'hrf')}
    options |= {f'{loader}_dataloader.dataset.scan_size': (64, 96) for loader in ('train', 'val')}
    cfg = load_config(request.config.rootpath / 'configs/hrf/fcn.py', options)
    assert check_data(cfg).problems == []
    path = tmp_path / 'hrf/native/images/01_h.jpg'
    with Image.open(path) as image:
        image.convert('L').save(path)
    (problem,) = check_data(cfg).problems
    assert problem.startswith(f'{path}: ') and 'RGB' in problem
    path.rename(path.with_suffix('.png'))
    named = [line.partition(': ')[0].removeprefix(f'{tmp_path}/hrf/') for line in check_data(cfg).problems]
    assert named == ['native/images/01_h.png', 'native/annotations/01_h.png', 'splits/usual_train.txt']
