"""The page on measures shows what the package computes: its worked example is read off the page and scored."""

import re
from pathlib import Path

import numpy as np
import pytest

from octfluid.metrics.bootstrap import estimates
from octfluid.metrics.confusion import COUNTS, image_row, pooled_metrics
from octfluid.metrics.summary import MEASURES, scored
from octfluid.reporting.formats import number

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
