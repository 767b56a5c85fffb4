"""The network of `duke_dme/across_devices.py`, trained on all patients of Duke DME, on scans of other devices.

Data and protocol: `compact.py` here. The scans took no part in any training or choice.

Ours: docs/results/recipes.md, by device.

    python tools/test.py configs/external/across_devices.py CHECKPOINT
"""

_base_ = './compact.py'
