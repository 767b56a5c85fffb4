import io

import numpy as np
from PIL import Image

from octfluid.reporting import ablations, estimates, figures

HISTORY = [dict(iteration=10, loss=0.5, lr=0.01), dict(iteration=400, loss=0.5, lr=0.01)]


def drawn(table2_runs=(), hrf_runs=(), own_runs=()):
    by_length = ablations.build([], list(table2_runs))['by_length']
    return figures.draw(list(table2_runs), list(hrf_runs), by_length, estimates.build(list(own_runs)))


def colours_in(png):
    """How many saturated colours a picture has: those of lines, not of letters and axes."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert('RGB')).astype(int)
    found = np.unique(pixels.reshape(-1, 3), axis=0)
    return int((found.max(1) - found.min(1) > 100).sum())


def test_a_figure_is_drawn_when_there_are_runs_for_it(row_runs, make_run, own):
    assert drawn() == {}
    row10 = row_runs(10, [60, 61], own())
    assert list(drawn(row10)) == ['loss_table2.png']
    assert drawn(row_runs(10, [60], own(), history=[])) == {}
    vessels = make_run('hrf/pspnet', split='usual', iterations=40000)
    recipe = make_run('duke_dme/compact')
    for image, name in zip(recipe.record['images'], ('s01_z10', 's01_z15'), strict=True):
        image['name'] = name
    every = drawn(row10 + row_runs(10, [0]), [vessels], [recipe])
    assert list(every) == list(figures.NAMES)
    # No version, no date.
    assert all(Image.open(io.BytesIO(png)).info.keys() <= {'dpi'} for png in every.values())


def test_each_kind_of_initial_weights_has_its_colour(row_runs, own):
    vessels = row_runs(10, [60], own(), history=HISTORY)
    both = vessels + row_runs(10, [60], own(iterations=1000, digit='a'), history=HISTORY)
    scratch, one, two = (
        colours_in(drawn(runs)['loss_table2.png']) for runs in (row_runs(10, [0], history=HISTORY), vessels, both)
    )
    assert two > one > scratch == 0  # scratch is black


def test_a_loss_that_was_not_finite_is_a_gap(make_run):
    iterations, losses = figures.curve(make_run('table2/10_crop320_wd1e-4'))
    assert iterations.tolist() == [10, 20]
    assert losses[0] == 0.5 and np.isnan(losses[1])


def test_the_running_median_by_hand():
    values = np.array([5.0, 1.0, np.nan, 2.0, 9.0])
    # Neighbourhoods of three: {5, 1}, {5, 1}, {1, 2}, {2, 9}, {2, 9}.
    assert figures.running_median(values, over=3).tolist() == [3.0, 3.0, 1.5, 5.5, 5.5]
    assert np.isnan(figures.running_median(np.array([np.nan]))).all()
