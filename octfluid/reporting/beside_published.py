"""Our recipes beside the paper and what others report, protocol by protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.reporting import markdown as md
from octfluid.reporting.estimates_page import estimate, withheld
from octfluid.reporting.published import read_published
from octfluid.reporting.table2 import paper_rows

FOLDER = 'configs/duke_dme/'
ROW = 10
PROTOCOLS = {
    'paper': "The paper's split: 22 scans of nine patients, all of whom have other scans in the training",
    'train6-10_test1-5': 'Trained on patients 6 to 10, scored on 1 to 5',
    'train1-5_test6-10': 'Trained on patients 1 to 5, scored on 6 to 10',
    'leave-one-subject-out': 'Each patient left out in turn',
}
HEADER = ['who', 'scored at', 'fluid Dice %', 'mIoU %', 'mDice %', 'seeds']


def render(groups: Sequence[Mapping[str, Any]]) -> str:
    """Return a section of ``recipes.md``.

    Args:
        groups: Output of `octfluid.reporting.estimates.build`.
    """
    text = '\n## Beside the paper and what others report\n'
    for split, title in PROTOCOLS.items():
        ours = [group for group in groups if group['protocol'] == split and _is_fair(group)]
        lines = [*map(_published, (row for row in read_published('published_fluid.csv') if row['split'] == split))]
        lines += [_ours(group) for group in ours] or [['our recipe', '-', md.PENDING, '-', '-', '-']]
        text += f'\n### {title}\n\n{md.table(HEADER, lines)}'
    notes = [
        "In brackets the 95 % interval over patients and seeds. Others' figures are as they report them, under protocols that "
        'are alike and hardly ever the same: how each is known, and what stands against it, is in `report.html`.',
        "Scored at 256x256: native scans in, probabilities brought to the paper's size, its ground truth. At 496x768: the "
        'ground truth as it was drawn.',
    ]
    return f'{text}\n{md.bullets(notes)}'


def _is_fair(group: Mapping[str, Any]) -> bool:
    """Tell whether a group is of our recipes and of weights that saw none of the scored scans."""
    return group['config'].startswith(FOLDER) and 'trained-on-' not in group['variant'] and group['iterations'] > 0


def _published(row: Mapping[str, str]) -> list[str]:
    cells = [row['method'], row['protocol'], f'{100 * float(row["score"]):.1f}']
    if row['split'] == 'paper':
        paper = next(one for one in paper_rows() if one['row'] == ROW)['paper']
        return [*cells, md.percent(paper['mIoU']), md.percent(paper['mDice']), '1']
    return [*cells, '-', '-', '-']


def _ours(group: Mapping[str, Any]) -> list[str]:
    name = '**ours**: ' + ', '.join(part for part in (f'`{group["config"]}`', group['variant']) if part)
    size = 'x'.join(map(str, group['size'])) if group['size'] else 'several sizes'
    measures = group['measures']
    scores = [estimate(measures[key], '%') for key in ('dice', 'miou', 'mdice')] if measures else [withheld(group), '-', '-']
    return [name, size, *scores, str(len(group['seeds'])) + md.mark(group)]
