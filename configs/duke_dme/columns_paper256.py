"""`columns.py`, scored exactly as the paper scores: see `compact_paper256.py`.

Ours: docs/results/recipes.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/duke_dme/columns_paper256.py --amp
"""

_base_ = './columns.py'
val_dataloader = dict(dataset=dict(data_prefix=dict(seg_map_path='paper_256/annotations')))
test_dataloader = val_dataloader
