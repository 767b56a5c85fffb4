import numpy as np
import pytest
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.model import ScanModel
from octfluid.inference.predictor import Predictor


@pytest.fixture(scope='session')
def frames():
    return np.stack([make_phantom(seed, 96, 128, fluid=True)[0] for seed in range(3)])


@pytest.fixture(scope='session')
def predictor():
    return Predictor(threads=1)


@pytest.fixture
def quick(monkeypatch):
    """Puts a model in place of the shipped one whose probability is the gray value divided by 256."""
    monkeypatch.setattr(ScanModel, '_run', lambda _, scans: scans.astype(np.float32) / 256)


@pytest.fixture
def volume(tmp_path, frames):
    savemat(tmp_path / 'v.mat', {'images': frames.transpose(1, 2, 0)})
    return tmp_path / 'v.mat'
