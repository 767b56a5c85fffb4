"""The page on measures shows what the package computes: its worked example is read off the page and scored."""

import re
from pathlib import Path

import numpy as np
import pytest

from octfluid.metrics.bootstrap import estimates
from octfluid.metrics.confusion import image_row
from octfluid.metrics.summary import MEASURES, scored
from octfluid.reporting.formats import number

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'metrics.md').read_text(encoding='utf-8')


def table(header):
    """Return the cells of the table on the page whose first line is this one."""
    lines = PAGE.split(header + '\n')[1].split('\n\n')[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]


@pytest.fixture(scope='module')
def found():
    """The measures of the four images as drawn on the page: tp is #, fp is x, fn is o."""
    drawing = PAGE.split('```text\n')[1].split('```')[0].splitlines()
    titles = re.findall(r'(\w), patient (\d)', drawing[0])
    lines = np.array([[list(part) for part in line.split()] for line in drawing[1:]])
    masks = [lines[:, place] for place in range(len(titles))]
    assert {mask.shape for mask in masks} == {(10, 10)}
    images = [
        image_row(name, int(patient), np.isin(mask, ('#', 'x')), np.isin(mask, ('#', 'o')))
        for (name, patient), mask in zip(titles, masks, strict=True)
    ]
    return estimates(scored({0: images}), replicates=1)


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
