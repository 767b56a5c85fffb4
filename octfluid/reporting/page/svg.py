"""Plots as SVG within the page, in its font and in colours that follow its background.

matplotlib draws with colours that stand for names (`INK`, `GRID`, `series`); afterwards each is replaced by the name, so that
one drawing is read on light and on dark backgrounds. What it writes beyond the drawing is left out.
"""

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from octfluid.reporting.page.markup import text
from octfluid.reporting.page.style import SERIES
from octfluid.utils.errors import WorkError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.2
"""Inches: on a phone, a text of 9 points in a figure this wide is about 9 pixels high."""
INK, GRID, PAPER = '#010203', '#010204', '#010205'
_SERIES = tuple(f'#0102{number:02x}' for number in range(0x11, 0x11 + SERIES))
_NAMES = {INK: 'currentColor', GRID: 'var(--grid)', PAPER: 'var(--paper)'} | {
    colour: f'var(--series-{number})' for number, colour in enumerate(_SERIES, 1)
}
MARKERS = (('o', '●'), ('s', '■'), ('^', '▲'), ('D', '◆'))
"""Of each series: matplotlib's name and the letter that looks like it."""

_SVG, _XLINK = 'http://www.w3.org/2000/svg', 'http://www.w3.org/1999/xlink'
_STYLE = {
    'svg.fonttype': 'none', 'svg.hashsalt': 'octfluid', 'font.size': 9, 'font.sans-serif': ['DejaVu Sans'],
    'axes.titlesize': 9, 'axes.spines.top': False, 'axes.spines.right': False, 'axes.grid': True, 'axes.axisbelow': True,
    'grid.color': GRID, 'grid.linewidth': 0.6, 'legend.frameon': False,
    'text.parse_math': False, 'text.color': INK, 'axes.labelcolor': INK, 'axes.edgecolor': INK, 'xtick.color': INK,
    'ytick.color': INK, 'figure.facecolor': 'none', 'axes.facecolor': 'none', 'savefig.facecolor': 'none',
}  # fmt: skip


def series(index: int) -> str:
    """Return the colour of a series, 0 to `SERIES` - 1."""
    return _SERIES[index]


def new_figure(height: float) -> 'Figure':
    """Return an empty figure, `WIDTH` by ``height`` inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout='constrained')


def add_axes(figure: 'Figure', across: str, up: str) -> 'Axes':
    """Add the only axes of a figure, with the names and units of both."""
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return axes


def inline(name: str, label: str, drawing: Callable[[], 'Figure']) -> str:
    """Draw a figure as an ``<svg>`` element.

    Args:
        name: Unique on the page; the names within the drawing begin with it.
        label: What the picture shows, for readers who do not see it.
        drawing: Draws the figure when called, under this module's settings whatever the user's.

    Returns:
        The element, the same for the same drawing.

    Raises:
        WorkError: matplotlib is not installed.
    """
    try:
        import matplotlib.style
        from matplotlib.backends.backend_svg import FigureCanvasSVG
    except ModuleNotFoundError as error:
        raise WorkError(
            "plots need matplotlib, which is not installed; install it with `pip install 'octfluid[train]'`"
        ) from error

    buffer = io.BytesIO()
    with matplotlib.style.context(['default', _STYLE], after_reset=True):
        figure = drawing()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={'Date': None, 'Creator': None})
    return _for_page(ElementTree.fromstring(buffer.getvalue()), name, label)


def _for_page(root: ElementTree.Element, name: str, label: str) -> str:
    # A style sheet within the drawing would be one of the whole page; the page's own sheet has its only rule.
    for element in [*root.findall(f'{{{_SVG}}}metadata'), *root.findall(f'{{{_SVG}}}defs[{{{_SVG}}}style]')]:
        root.remove(element)
    for element in list(root.iter()):
        for key, value in list(element.attrib.items()):
            element.set(key, _attribute(value, name))
    used = set(re.findall(rf'#({re.escape(name)}-\w+)', ElementTree.tostring(root, encoding='unicode')))
    for element in root.iter():
        if 'id' in element.attrib and (renamed := f'{name}-{element.attrib.pop("id")}') in used:
            element.set('id', renamed)
    for key in ('width', 'height', 'version'):
        root.attrib.pop(key, None)
    root.attrib.update({'role': 'img', 'aria-label': ' '.join(label.split())})
    ElementTree.register_namespace('', _SVG)
    ElementTree.register_namespace('xlink', _XLINK)
    return ElementTree.tostring(root, encoding='unicode', short_empty_elements=False).strip()


def _attribute(value: str, name: str) -> str:
    """Return the value of an attribute in the page's colours and font size, and pointing to renamed elements."""
    value = re.sub(r'font-family: [^;]*;?\s*', '', value)
    for colour, word in _NAMES.items():
        value = value.replace(colour, word)
    return re.sub(r'^#|(?<=url\()#', f'#{name}-', value)


def key(index: int, letter: str) -> str:
    """Return the marker of a series with the letter of its group, as HTML."""
    return f'<span class="key"><span class="s{index + 1}" aria-hidden="true">{MARKERS[index][1]}</span> {text(letter)}</span>'
