import base64
import re
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from PIL import Image

from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import to_run
from octfluid.reporting.page import pictures
from octfluid.utils.errors import InputError
from octfluid.visualization.gallery import picture_name

# Dice 0.8, 0.6, 0.2; no fluid and nothing predicted; no fluid and 33 px predicted.
COUNTS = ((80, 20, 20), (60, 40, 40), (20, 80, 80), (0, 0, 0), (0, 33, 0))


@pytest.fixture
def record_of(make_record, tmp_path):
    """Make the run of a subject and seed, five images a subject, with pictures of those named beside its record."""

    def make(pictured=(), subject=1, seed=0, config='configs/smoke/duke_dme.py', data=None):
        images = [
            dict(name=f's{subject:02d}_z{index}', subject=subject, height=256, width=256, tp=tp, fp=fp, fn=fn,
                 tn=65536 - tp - fp - fn, extra={})
            for index, (tp, fp, fn) in enumerate(COUNTS)
        ]  # fmt: skip
        split = f'subject{subject:02d}'
        record = make_record(config=config, split=split, seed=seed, images=images, metrics=pooled_metrics(images))
        stem = f'{PurePosixPath(config).stem}_{split}_seed{seed}'
        for name in pictured:
            path = tmp_path / f'{stem}.{name}.png'
            Image.new('L', (64, 48), 90).save(path)
            path.write_bytes(data or path.read_bytes())
        return to_run(tmp_path / f'{stem}.json', record)

    return make


def rendered(*groups_of_runs, **changes):
    groups = [
        {
            'config': runs[0].record['config'], 'kind': 'train', 'variant': '', 'init': 'scratch', 'iterations': 400,
            'protocol': 'paper', 'pixel_mm2': 0.00025, 'missing': [], 'records': [run.label for run in runs], **changes,
        }
        for runs in groups_of_runs
    ]  # fmt: skip
    return pictures.render(groups, [run for runs in groups_of_runs for run in runs])


def captions(page):
    return re.findall(r'<strong>(.*?)</strong>: (\w+), ', page)


ALL = [f's01_z{index}' for index in range(5)]


def test_the_chosen_pictures_are_shown_with_their_scores(record_of, tmp_path):
    page = rendered([record_of(ALL)])
    assert captions(page) == [
        ('Highest Dice', 's01_z0'),
        ('Median Dice', 's01_z1'),
        ('Lowest Dice of the scans with fluid', 's01_z2'),
        ('Most false fluid where there is none', 's01_z4'),
    ]
    assert 's01_z1, Dice 60.0 %; true fluid 100 px (0.025 mm²), predicted 100 px (0.025 mm²).' in page
    assert 's01_z4, no fluid; true fluid 0 px (0.000 mm²), predicted 33 px (0.008 mm²).' in page
    first = re.search(r'<img src="data:image/png;base64,([^"]*)" alt="([^"]*)" width="64" height="48">', page)
    assert base64.b64decode(first[1]) == (tmp_path / 'duke_dme_subject01_seed0.s01_z0.png').read_bytes()
    assert 's01_z0' in first[2] and 'Dice 80.0 %' in first[2]
    for colour in ('90, 245, 140', '220, 30, 30', '65, 115, 255', '255, 255, 235'):
        assert f'<li><span style="background: rgb({colour})"></span>' in page


def test_areas_without_a_scale_are_pixels(record_of):
    assert 'true fluid 100 px, predicted 100 px.' in rendered([record_of(ALL)], pixel_mm2=None)


def test_the_first_seed_that_has_pictures_is_shown(record_of):
    page = rendered([record_of(seed=0), record_of(ALL, seed=3), record_of(ALL, seed=5)])
    assert page.count('<img') == 4 and ', seed 3</h3>' in page


def test_folds_are_chosen_from_together(record_of):
    """The median of all is s01_z1, s02_z1 or s03_z1; where its fold shows another, the nearest stands for it."""
    page = rendered([record_of(['s01_z0', 's01_z2', 's01_z4']), record_of(subject=2), record_of(['s03_z0'], subject=3)])
    assert captions(page) == [
        ('Highest Dice', 's03_z0'),
        ('Nearest to the median Dice of those with a picture', 's01_z0'),
        ('Lowest Dice of the scans with fluid', 's01_z2'),
        ('Most false fluid where there is none', 's01_z4'),
    ]


def test_names_that_no_file_can_have_are_images_without_pictures(record_of, tmp_path):
    run = record_of(['s01_z1'])
    odd = {'s01_z0': 'x' * 300, 's01_z2': '../above', 's01_z4': '/from/the/root'}
    images = [{**image, 'name': odd.get(image['name'], image['name'])} for image in run.record['images']]
    page = rendered([replace(run, record={**run.record, 'images': images})])
    assert captions(page) == [('Median Dice', 's01_z1')]
    assert picture_name('run', '../above') == 'run..._above.png'


def test_a_picture_is_shown_once(record_of):
    page = rendered([record_of(['s01_z0'])])
    assert captions(page) == [('Highest Dice; Nearest to the median Dice of those with a picture', 's01_z0')]


def test_nothing_is_shown_of_groups_that_lack_a_fold_or_pictures(record_of):
    said = '<p>No pictures lie beside the run records.</p>\n'
    assert rendered([record_of(ALL)], missing=['subject02']) == rendered([record_of(subject=2)]) == rendered() == said


def test_groups_beyond_the_room_are_left_out(record_of):
    large = Image.new('L', (1, 1))._repr_png_() + bytes(1_200_000)
    sizes = {name: large if name < 'c' else None for name in 'abcdef'}
    page = rendered(*([record_of(['s01_z0'], config=f'configs/smoke/{name}.py', data=data)] for name, data in sizes.items()))
    assert re.findall(r'<h3><code>smoke/<wbr>(\w)<', page) == ['a', 'c', 'd', 'e'] and len(page) < 2_800_000
    assert 'The pictures of 2 more configurations lie beside the run records' in page


def test_what_is_no_picture_is_refused(record_of):
    with pytest.raises(InputError, match=r'duke_dme_subject01_seed0\.s01_z0\.png: not a PNG picture'):
        rendered([record_of(['s01_z0'], data=b'GIF89a')])
