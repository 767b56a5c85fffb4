"""Trainings with other libraries, for comparison; see `octfluid.engine.contenders`."""

import time
from collections.abc import Sequence

import torch
from torch import nn

from octfluid.engine.contenders import synchronize
from octfluid.engine.turns import Turn


def plain_loop(batch: int, size: Sequence[int], iterations: int) -> Turn:
    """Train MONAI's basic U-Net, as wide and deep as U-Net s5-d16, on noise in a plain PyTorch loop in float32.

    Args:
        batch: Images in a batch.
        size: (height, width) of the windows in pixels.
        iterations: In one turn.

    Raises:
        ModuleNotFoundError: MONAI is not installed.
    """
    from monai.networks.nets import BasicUNet

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.manual_seed(0)
    net = BasicUNet(2, in_channels=3, out_channels=2, features=(64, 128, 256, 512, 1024, 64)).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(batch, 3, *size, device=device)
    labels = (torch.rand(batch, *size, device=device) > 0.99).long()

    def turn() -> dict[str, float]:
        synchronize()
        start = time.perf_counter()
        for _ in range(iterations):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
        synchronize()
        return dict(seconds=time.perf_counter() - start, waited=0.0)

    return turn
