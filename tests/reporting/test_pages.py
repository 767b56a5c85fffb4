import re

import pytest

from octfluid.reporting.formats import duration, estimate, number, p_value, percent, points, points_interval
from octfluid.reporting.pages import render_html, render_page
from octfluid.reporting.report import build_results

EVIL = '<script>alert(1)</script>'


@pytest.fixture
def pages(make_run):
    """The page of recipes, with a link of one run and hostile names in another."""
    runs = [make_run('duke_dme/compact'), make_run('mine/x', variant=f'a | b\n{EVIL} [x](javascript:alert)')]
    shown = [], {build_results(runs[:1])['estimates']['groups'][0]['key']: {'best': 'records/p.png'}}
    return [render_page('recipes.md', build_results(runs), *shown, linked=linked) for linked in (True, False)]


def test_no_name_ends_a_cell_or_begins_a_tag(pages):
    linked, plain = pages
    assert linked.startswith('# Our own recipes\n\n<!-- written by tools/report.py')
    assert f'| train, a \\| b {EVIL.replace("<", "&lt;")} [x](javascript:alert) | paper |' in linked
    assert '| [`configs/duke_dme/compact.py`](../../configs/duke_dme/compact.py) | train |' in linked
    assert '| `configs/duke_dme/compact.py` | train |' in plain and '![Of the scans with fluid' in plain


def test_html_holds_the_table_and_no_scripts_or_other_files(pages):
    text = render_html('All', {'recipes.md': pages[0]}, {'records/p.png': b'PNG'})
    assert '<script' not in text and 'javascript:alert"' not in text and '<!--' not in text
    assert '<td><a href="../../configs/duke_dme/compact.py"><code>configs/duke_dme/compact.py</code></a></td>' in text
    assert re.findall(r'<(?:img|link|iframe)[^>]*(?:src|href)="([^"]*)"', text) == ['data:,', 'data:image/png;base64,UE5H']
    assert '<a href="#recipes.md">Our own recipes</a>' in text and '<h2>Our own recipes</h2>' in text


def test_numbers_as_pages_write_them():
    assert [percent(value) for value in (0.5, None)] == ['50.00', '-']
    assert [points(value) for value in (0.0123, -0.5, -0.000001, None)] == ['+1.23', '-50.00', '+0.00', '-']
    assert points_interval({'difference': 0.1, 'interval': [-0.05, 0.25]}) == '+10.00 [-5.00, +25.00]'
    assert points_interval(None) == '-'
    assert [number(*pair) for pair in ((0.5, '%'), (12.34, 'px'), (0.9876, ''), (None, '%'))] == ['50.00', '12.3', '0.988', '-']
    assert estimate({'value': 0.5, 'interval': [0.4, 0.6]}, '%') == '50.00 [40.00, 60.00]'
    assert [p_value(value) for value in (None, 0.0004, 0.0016, 1.0)] == ['-', '< 0.001', '0.002', '1.000']
    assert [duration(seconds) for seconds in (None, 59.6, 3599, 3600, 4500.2)] == [
        '-', '1 min 00 s', '59 min 59 s', '1 h 00 min', '1 h 15 min']  # fmt: skip
