"""The gallery: overlay pictures that lie beside the records, within the page itself."""

import base64
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octfluid.records.runs import Run
from octfluid.reporting.page.groups import Group, described, runs_of
from octfluid.reporting.page.markup import figure, paragraph, text
from octfluid.utils.errors import InputError
from octfluid.visualization import overlay
from octfluid.visualization.gallery import choose, picture_name

MAX_GROUPS = 4
MAX_BYTES = 2_000_000
"""Of all pictures together, so that the page, in which they take a third more, stays below 3 MB."""

_TITLES = {
    'best': 'Highest Dice',
    'median': 'Median Dice',
    'worst': 'Lowest Dice of the scans with fluid',
    'false': 'Most false fluid where there is none',
}
_SIGNATURE = b'\x89PNG\r\n\x1a\n'


@dataclass(frozen=True)
class _Picture:
    titles: tuple[str, ...]
    image: Mapping[str, Any]
    run: Run
    path: Path


def render(groups: Sequence[Group], runs: Sequence[Run]) -> str:
    """Return the gallery of the groups that have pictures, as many as the page has room for.

    Args:
        groups: All groups, those that matter most first; the pictures of groups that lack a fold are not shown.
        runs: Those of all groups, and others.

    Returns:
        HTML; a sentence when there is no picture.

    Raises:
        InputError: A picture is not a PNG file, or cannot be read.
    """
    content, left, room, left_out = '', MAX_GROUPS, MAX_BYTES, 0
    for group in groups:
        pictures = [] if group['missing'] else _pictures(group, runs)
        if not pictures:
            continue
        data = [_read(picture.path) for picture in pictures]
        size = sum(len(png) for png in data)
        if not left or size > room:
            left_out += 1
            continue
        left, room = left - 1, room - size
        shown = ''.join(_figure(picture, png, group) for picture, png in zip(pictures, data, strict=True))
        seed = pictures[0].run.record['seed']
        content += f'<h3>{described(group)}, seed {seed}</h3>\n<div class="grid pictures">\n{shown}</div>\n'
    if left_out:
        more = '1 more configuration' if left_out == 1 else f'{left_out} more configurations'
        content += paragraph(f'The pictures of {more} lie beside the run records; left out to keep the page small.', 'soft')
    return _legend() + content if content else paragraph('No pictures lie beside the run records.')


def _pictures(group: Group, runs: Sequence[Run]) -> list[_Picture]:
    """Find the pictures of the first seed of a group that has any, each picture once."""
    of = sorted(runs_of(group, runs), key=lambda run: run.record['seed'])
    for seed in dict.fromkeys(run.record['seed'] for run in of):
        found = _of_seed([run for run in of if run.record['seed'] == seed])
        if found:
            return found
    return []


def _of_seed(runs: Sequence[Run]) -> list[_Picture]:
    """Choose among all images of one seed, folds pooled.

    The best and the worst of all folds are those of their own fold and have a picture. The median of all need not be; then
    the nearest in Dice that has one stands for it.
    """
    images = {image['name']: (image, run) for run in runs for image in run.record['images']}
    paths = {name: run.path.with_name(picture_name(run.path.stem, name)) for name, (_, run) in images.items()}
    paths = {name: path for name, path in paths.items() if os.path.isfile(path)}  # a name too long for a file is none
    titles: dict[str, list[str]] = {}
    for role, name in choose([image for image, _ in images.values()]).items():
        title = _TITLES[role]
        if name not in paths and role == 'median':
            wanted = _dice(images[name][0])
            near = [other for other in sorted(paths) if _dice(images[other][0]) is not None]
            name = min(near, key=lambda other: abs(_dice(images[other][0]) - wanted), default=name)
            title = 'Nearest to the median Dice of those with a picture'
        if name in paths:
            titles.setdefault(name, []).append(title)
    return [_Picture(tuple(roles), *images[name], paths[name]) for name, roles in titles.items()]


def _dice(image: Mapping[str, Any]) -> float | None:
    """Return the Dice of an image with fluid, None without."""
    if not image['tp'] + image['fn']:
        return None
    return 2 * image['tp'] / (2 * image['tp'] + image['fp'] + image['fn'])


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); remove it or write it again by training') from error
    if not data.startswith(_SIGNATURE) or len(data) < 24:
        raise InputError(f'{path}: not a PNG picture; remove it or write it again by training')
    return data


def _area(pixels: int, group: Group) -> str:
    words = f'{pixels} px'
    return f'{words} ({pixels * group["pixel_mm2"]:.3f} mm²)' if group['pixel_mm2'] else words


def _figure(picture: _Picture, png: bytes, group: Group) -> str:
    image, dice = picture.image, _dice(picture.image)
    width, height = struct.unpack('>II', png[16:24])
    true, predicted = image['tp'] + image['fn'], image['tp'] + image['fp']
    score = 'no fluid' if dice is None else f'Dice {100 * dice:.1f} %'
    areas = f'true fluid {_area(true, group)}, predicted {_area(predicted, group)}'
    alt = f'OCT B-scan {image["name"]} with true positives, false positives and false negatives coloured: {score}; {areas}'
    source = f'data:image/png;base64,{base64.b64encode(png).decode("ascii")}'
    tag = f'<img src="{source}" alt="{text(alt)}" width="{width}" height="{height}">'
    caption = f'<strong>{text("; ".join(picture.titles))}</strong>: {text(image["name"])}, {text(score)}; {text(areas)}.'
    return figure(tag, caption)


def _legend() -> str:
    """Return the meaning of the colours, from the colours that overlays are drawn with."""
    entries = (
        (overlay.TRUE_POSITIVE, 'true positive: fluid, and predicted'),
        (overlay.FALSE_POSITIVE, 'false positive: predicted, but no fluid'),
        (overlay.FALSE_NEGATIVE, 'false negative: fluid that was missed'),
        (overlay.CONTOUR, 'light line: outline of the ground truth'),
    )
    items = ''.join(
        f'<li><span style="background: rgb({", ".join(map(str, rgb))})"></span>{text(words)}</li>\n' for rgb, words in entries
    )
    return f'<ul class="legend">\n{items}</ul>\n'
