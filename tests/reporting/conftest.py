import re
from pathlib import Path

import pytest

from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import to_run
from octfluid.reporting.pages import render_page
from octfluid.reporting.report import PAGES

ROWS = {
    1: '01_iters200',
    2: '02_iters400',
    6: '06_crop320',
    7: '07_crop320_dice',
    9: '09_crop320_adam',
    10: '10_crop320_wd1e-4',
}


@pytest.fixture
def own():
    """Make the `init` of a record: head and length of weights trained here, and the digit that fills their digest."""

    def make(head='pspnet', iterations=40000, digit='e'):
        name = f'{head}_unet_s5-d16_hrf_{iterations}i_{8 * digit}.safetensors'
        return dict(source='hrf-own', name=name, sha256=64 * digit, loaded=172, total=172)

    return make


@pytest.fixture
def hrf_weights(own):
    """The `init` of a record that started from HRF weights of the full length, trained here."""
    return own()


@pytest.fixture
def zoo_weights():
    """The `init` of a record that started from the zoo's PSPNet file."""
    name = 'pspnet_unet_s5-d16_256x256_40k_hrf_20201227_181818-fdb7e29b.pth'
    return dict(source='hrf-zoo', name=name, sha256='f' * 64, loaded=172, total=172)


@pytest.fixture
def make_run(make_record):
    """Make a run of a config below `configs/`, such as `table2/10_crop320_wd1e-4`; the rest as `make_record`."""

    def make(config, counts=((30, 10, 20, 65476), (0, 5, 0, 65531)), **changes):
        record = make_record(counts, **{'config': f'configs/{config}.py', **changes})
        return to_run(Path(f'{config.split("/")[-1]}_{record["seed"]}.json'), record)

    return make


@pytest.fixture
def run_of_images(make_record):
    """Make a run from (name, subject, tp, fp, fn) of its images, and height and width where they are not 256."""

    def make(rows, path='run.json', **changes):
        images = []
        for name, subject, tp, fp, fn, *size in rows:
            height, width = size or (256, 256)
            images.append(dict(name=name, subject=subject, height=height, width=width, tp=tp, fp=fp, fn=fn,
                               tn=height * width - tp - fp - fn, extra={}))  # fmt: skip
        return to_run(Path(path), make_record(images=images, metrics=pooled_metrics(images), **changes))

    return make


@pytest.fixture
def row_runs(make_run):
    """Make runs of a row of table 2 or of a config of `configs/ablations`, one a seed, by their fluid Dice in percent."""

    def make(which, dice, init=None, **changes):
        config = f'table2/{ROWS[which]}' if isinstance(which, int) else f'ablations/{which}'
        iterations = {1: 200, 'row10_4000': 4000}.get(which, 400)
        common = {'init': init, 'iterations': iterations, **changes}
        # Two images, the second without fluid: 2 tp / (2 tp + fp + fn) with tp = k and fp + fn = 2 (100 - k).
        counts = [[(k, 100 - k, 100 - k, 65536 - 200 + k), (0, 0, 0, 65536)] for k in dice]
        return [make_run(config, pair, seed=seed, **common) for seed, pair in enumerate(counts)]

    return make


@pytest.fixture
def rows_below():
    """Return the cells of each line of the first table below a heading (the begin of it) of a page, of any level."""

    def take(text, heading):
        section = next(part for part in re.split('\n##+ ', text) if part.startswith(heading))
        return [line.strip('| ').split(' | ') for line in section.splitlines() if line.startswith('|')][2:]

    return take


@pytest.fixture
def pages_of():
    """Render the pages of the output of `build_results`, by name."""
    return lambda results: {name: render_page(name, results, linked=False) for name in PAGES}
