import sys

import numpy as np
import pytest
from PIL import Image
from predicted import FRAMES
from scipy.io import savemat

from octfluid.inference import cli as predict
from octfluid.inference.model import ScanModel
from octfluid.utils.cli import exit_status_of


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command in this process: (status, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['predict.py', *map(str, arguments)])
        try:
            status = exit_status_of(predict.main)
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def quick(monkeypatch):
    """Puts a model in place of the shipped one whose probability is the gray value divided by 256."""
    monkeypatch.setattr(ScanModel, '_run', lambda _, scans: scans.astype(np.float32) / 256)


@pytest.fixture
def scans(tmp_path):
    """A folder with four B-scans."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for place, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(folder / f'b{place + 8}.png')  # b8, b9, b10, b11
    return folder


@pytest.fixture
def mat(tmp_path):
    savemat(tmp_path / 'v.mat', {'images': FRAMES.transpose(1, 2, 0)})
    return tmp_path / 'v.mat'
