"""The page on measures shows what the package computes: its worked example is read off the page and scored."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from octfluid.datasets.splits import paper_rows
from octfluid.metrics.bootstrap import EXACT_SUBJECTS, MAX_UNDEFINED, MIN_SUBJECTS, estimates
from octfluid.metrics.confusion import COUNTS, image_row, pooled_metrics, predict_nothing
from octfluid.metrics.measures import DUKE_MM, DUKE_NATIVE, MEASURES, per_image, pixel_mm2, scored
from octfluid.reporting.formats import number, percent
from octfluid.reporting.published import read_published

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'metrics.md').read_text(encoding='utf-8')
WORDS = ' '.join(PAGE.split())


def table(header):
    """Return the cells of the table on the page whose first line is this one."""
    lines = PAGE.split(header + '\n')[1].split('\n\n')[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]


@pytest.fixture(scope='module')
def images():
    """The four images as drawn on the page: tp is #, fp is x, fn is o."""
    drawing = PAGE.split('```text\n')[1].split('```')[0].splitlines()
    titles = re.findall(r'(\w), patient (\d)', drawing[0])
    lines = np.array([[list(part) for part in line.split()] for line in drawing[1:]])
    masks = [lines[:, place] for place in range(len(titles))]
    assert {mask.shape for mask in masks} == {(10, 10)}
    return [
        image_row(name, int(patient), np.isin(mask, ('#', 'x')), np.isin(mask, ('#', 'o')))
        for (name, patient), mask in zip(titles, masks, strict=True)
    ]


@pytest.fixture(scope='module')
def found(images):
    return estimates(scored({0: images}), replicates=1)


def test_the_counts_of_each_image_are_those_of_its_drawing(images):
    def cell(value):
        return '-' if value is None else f'{value:g}'

    expected = []
    for row in images:
        counts = [row[key] for key in COUNTS]
        dice = pooled_metrics([row])['Dice.fluid']
        surface = [row['extra'][key] for key in ('surface_dice_1px', 'surface_dice_2px', 'hd95_px')]
        expected.append([row['name'], *map(cell, [*counts, row['tp'] + row['fn'], row['tp'] + row['fp'], dice, *surface])])
    *lines, total = table(
        '| image | tp | fp | fn | tn | true area | predicted area | Dice | surface Dice 1 px | 2 px | HD95 px |'
    )
    assert lines == expected and len(lines) == 4
    assert total[:7] == ['sum', *(str(sum(int(line[column]) for line in lines)) for column in range(1, 7))]


def test_every_measure_has_its_line_with_the_value_that_the_package_computes(found):
    lines = table('| measure | worked out | result |')
    units = [f' {measure.unit}' if measure.unit else '' for measure in MEASURES.values()]
    expected = [
        [measure.title, number(found[name]['value'], measure.unit) + unit]
        for (name, measure), unit in zip(MEASURES.items(), units, strict=True)
    ]
    assert [[line[0], line[2]] for line in lines] == expected


def test_what_is_worked_out_gives_the_result_beside_it():
    for title, worked_out, result in table('| measure | worked out | result |'):
        assert re.fullmatch(r'[0-9.+\-*/() ]+', worked_out), title
        value, _, unit = result.partition(' ')
        assert number(eval(worked_out), unit) == value, title


def test_the_averages_and_the_conventions_for_empty_images_are_computed(images, found):
    three = ' '.join(percent(found[name]['value']) for name in ('subject_dice', 'dice', 'image_dice'))
    assert 'worth {}, {} or {} by three fair averages'.format(*three.split()) in WORDS
    own = [pooled_metrics([row])['Dice.fluid'] for row in images]
    of_fluid = [row['dice'] for row in per_image(scored({0: images})) if row['dice'] is not None]
    means = [np.mean(of_fluid), *(np.mean([value if dice is None else dice for dice in own]) for value in (0, 1, 2))]
    lines = table('| an image that is empty in truth and prediction | mean Dice over images |')
    assert [line[1] for line in lines] == [f'{percent(mean)} %' for mean in means]


def test_predicting_nothing_on_the_example_scores_about_half(images):
    nothing = pooled_metrics(predict_nothing(images))
    assert f'scores {percent(nothing["mDice"])} % mDice and {percent(nothing["mIoU"])} % mIoU' in WORDS


def test_what_the_page_says_of_the_papers_scans_follows_from_a_record():
    path = next((ROOT / 'docs/results/records/table2').rglob('train_paper_*.json'))
    rows = json.loads(path.read_text(encoding='utf-8'))['images']
    assert {row['name'] for row in rows} == {row.scan.name for row in paper_rows() if row.subset == 'val'}
    nothing = pooled_metrics(predict_nothing(rows))
    assert (
        f"scores {percent(nothing['mIoU'])} mIoU and {percent(nothing['mDice'])} mDice on the paper's {len(rows)} sc" in WORDS
    )
    true = {row['name']: row['tp'] + row['fn'] for row in rows}
    largest = max(true, key=true.get)
    share = 100 * true[largest] / sum(true.values())
    assert f'validation scans, {share:.1f} % is in a single scan, `{largest}`, and half of the scans have none' in WORDS
    assert sum(area == 0 for area in true.values()) == len(true) / 2


def test_the_scale_of_a_pixel_is_the_packages():
    native = [1000 * side for side in DUKE_MM]
    small = [side * pixels / 256 for side, pixels in zip(native, DUKE_NATIVE, strict=True)]
    assert '{:.2f} um high and {:.2f} um wide at native size ({} x {})'.format(*native, *DUKE_NATIVE) in WORDS
    assert '{:.2f} um by {:.2f} um'.format(*small) in WORDS
    assert [round(side[1] / side[0], 1) for side in (native, small)] == [2.9, 4.5] and 'about 3 or 4.5 times' in WORDS
    assert f'{pixel_mm2([paper_rows()[0].scan.name], 256, 256):.6f} mm2 a pixel at 256 x 256' in WORDS


def test_the_limits_of_intervals_and_of_p_are_the_packages():
    assert f'fewer than {MIN_SUBJECTS} patients there is no interval' in WORDS
    assert f'more than {100 * MAX_UNDEFINED:.0f} % of the draws' in WORDS
    assert f'up to P = {EXACT_SUBJECTS}, and' in WORDS
    assert f'{2 / 2**10:.3f} with ten patients, {2 / 2**5} with five' in WORDS


def test_the_figures_of_others_are_those_of_the_data_files():
    others = {row['method'].split()[0]: row for row in read_published('published_fluid.csv')}
    assert f'0.66 became {others["Y-Net"]["score"]}' in WORDS and '0.66' in others['Y-Net']['caveat']
    assert f"ReLayNet's {others['ReLayNet']['score']}" in WORDS
    assert 'gives it 0.70' in WORDS and '0.70 to ReLayNet' in others['Boundary']['caveat']
    assert f"graders' {others['Two']['score']}" in WORDS
    rows = {row['row']: row for row in read_published('paper_table2.csv')}
    dice = {name: float(row['Dice_fluid']) for name, row in rows.items() if row['Dice_fluid']}
    assert f'(row 1, fluid Dice {dice["1"]}) beat 400 (row 2, {dice["2"]})' in WORDS
    assert max(dice, key=dice.get) == '10' and f'{dice["10"] - dice["6"]:.2f} points of fluid Dice above row 6' in WORDS
    zero_shot = ', '.join(row['measure'] for row in read_published('paper_table1.csv'))
    assert f'table 1\'s "mIoU" ({zero_shot})' in WORDS
    with_fluid = int(re.search(r'the (\d+) scans with fluid', others['Two']['protocol']).group(1))
    assert f'{with_fluid} / {len(paper_rows())} = {with_fluid / len(paper_rows()):.3f}' in WORDS
