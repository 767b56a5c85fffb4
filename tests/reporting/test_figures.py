import io

import numpy as np
from PIL import Image

from octfluid.reporting import ablations, estimates, figures


def drawn(table2_runs=(), hrf_runs=(), own_runs=()):
    by_length = ablations.build([], list(table2_runs))['by_length']
    return figures.draw(list(table2_runs), list(hrf_runs), by_length, estimates.build(list(own_runs)))


def test_a_figure_is_drawn_when_there_are_runs_for_it(row_runs, make_run, own):
    assert drawn() == {}
    row10 = row_runs(10, [60, 61], own())
    assert list(drawn(row10)) == ['loss_table2.png']
    assert drawn(row_runs(10, [60], own(), history=[])) == {}
    points = [dict(iteration=at, loss=0.5, lr=0.01, mIoU=0.6) for at in (50, 100)]
    watched = dict(split='paper-inner1', overrides={'train_cfg.val_interval': 50})
    curves = row_runs(10, [60], own(), history=points, **watched)
    assert list(drawn(curves)) == ['validation_table2.png']
    assert drawn(row_runs(10, [60], own(), history=points[:1], **watched)) == {}
    assert list(drawn(row_runs(10, [60], own(), history=points))) == ['loss_table2.png'], 'scored on reported scans'
    vessels = make_run('hrf/pspnet', split='usual', iterations=40000)
    recipe = make_run('duke_dme/compact')
    for image, name in zip(recipe.record['images'], ('s01_z10', 's01_z15'), strict=True):
        image['name'] = name
    every = drawn(row10 + row_runs(10, [0]) + curves, [vessels], [recipe])
    assert list(every) == list(figures.NAMES)
    # No version, no date.
    assert all(Image.open(io.BytesIO(png)).info.keys() <= {'dpi'} for png in every.values())


def test_the_running_median_by_hand():
    # Neighbourhoods of three: {5, 1}, {5, 1}, {1, 2}, {2, 9}, {2, 9}.
    assert figures.running_median(np.array([5, 1, np.nan, 2, 9]), over=3).tolist() == [3, 3, 1.5, 5.5, 5.5]
