from html.parser import HTMLParser

import pytest

from octfluid.reporting.formats import duration, estimate, number, p_value, percent, points, points_interval
from octfluid.reporting.pages import Page, render_html, render_markdown

EVIL = '<script>alert(1)</script>'


@pytest.fixture
def page():
    page = Page('a.md', 'A page')
    page.heading('Part')
    page.text('A **bold** `x|y`', '')
    page.bullets(['one', f'two {EVIL}'])
    page.table(['name', 'n'], [['[`c`](../../configs/c.py)', '1'], [f'a | b {EVIL}', '2'], ['[x](javascript:alert)', '3']])
    page.picture('figures/p.png', 'best')
    return page


def test_markdown_by_hand(page):
    assert render_markdown(page) == (
        '# A page\n\n<!-- written by tools/report.py from the records; do not edit -->\n\n## Part\n\nA **bold** `x|y`\n\n'
        '- one\n- two &lt;script>alert(1)&lt;/script>\n\n| name | n |\n| --- | --- |\n| [`c`](../../configs/c.py) | 1 |\n'
        '| a \\| b &lt;script>alert(1)&lt;/script> | 2 |\n| [x](javascript:alert) | 3 |\n\n'
        '![Of the scans with fluid, the one with the highest Dice.](figures/p.png)\n\n'
        '*Of the scans with fluid, the one with the highest Dice.*\n'
    )
    assert '| `c` | 1 |' in render_markdown(page, linked=False)


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key in ('href', 'src')]
        if tag not in ('meta', 'link', 'img'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_balanced_holds_the_table_and_no_scripts_or_other_files(page):
    text = render_html('All', [page], {'figures/p.png': b'PNG'})
    reader = Reader(text)
    assert reader.open == [] and 'script' not in reader.tags and reader.tags.count('td') == 6
    assert reader.links == ['data:,', '#a.md', '../../configs/c.py', 'data:image/png;base64,UE5H']
    assert '<td><a href="../../configs/c.py"><code>c</code></a></td>' in text and '<strong>bold</strong>' in text
    assert Reader(render_html('All', [page], {}, linked=False)).links == ['data:,', '#a.md']


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
