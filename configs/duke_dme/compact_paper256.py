"""`compact.py`, scored exactly as the paper scores: probabilities brought to 256x256, against its ground truth there.

Paper: mIoU 0.7600, mDice 0.8430 (row 10 of table 2, one run).

Ours: docs/results/recipes.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/duke_dme/compact_paper256.py --amp
"""

_base_ = './compact.py'
val_dataloader = dict(dataset=dict(data_prefix=dict(seg_map_path='paper_256/annotations')))
test_dataloader = val_dataloader
