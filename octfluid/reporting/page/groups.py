"""What the groups of runs are called on the page, and which of them its plots show."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from octfluid.records.runs import Run
from octfluid.records.starts import Start, thousands
from octfluid.reporting.folds import LEAVE_ONE_OUT
from octfluid.reporting.page.markup import code, text
from octfluid.reporting.page.style import SERIES
from octfluid.reporting.page.svg import key

Group = Mapping[str, Any]
LETTERS = 'ABCD'
"""By which plots name their groups, as many as there are series."""


def runs_of(group: Group, runs: Iterable[Run]) -> list[Run]:
    """Return the runs that a group's scores come from, in the order of its records, as far as they are among ``runs``.

    A label alone does not tell: a run with settings of its own, or of a config of the same file name elsewhere, has the same.
    """
    of = {run.label: run for run in runs if run.record['config'] == group['config'] and not run.changed}
    return [of[label] for label in group['records'] if label in of]


def config_name(group: Group) -> str:
    """Return a config's path without the folder of all configs and the suffix, with what is special about the runs."""
    name = group['config'].removeprefix('configs/').removesuffix('.py')
    special = [part for part in (group['kind'], group['variant']) if part not in ('train', '')]
    return name + (f' ({", ".join(special)})' if special else '')


def protocol_name(protocol: str) -> str:
    """Return what a protocol is called."""
    return {'paper': "the paper's split", LEAVE_ONE_OUT: 'leave one subject out'}.get(protocol, protocol)


def training_name(group: Group) -> str:
    """Return initial weights, as far as their name tells, and length of training in words."""
    try:
        start = Start.of(group['init']).short
    except ValueError:
        start = f'from {group["init"]}'
    length = f'trained for {thousands(group["iterations"])} iterations' if group['iterations'] else 'not trained on fluid'
    # No line may end within a number.
    return re.sub(r'(?<=\d) (?=\d)', '\u00a0', f'{start}; {length}')


def described(group: Group) -> str:
    """Return the name of a group in one line of HTML."""
    return f'{code(config_name(group))}, {text(training_name(group))}; {text(protocol_name(group["protocol"]))}'


def seeds_name(group: Group) -> str:
    """Return the number of seeds in words."""
    number = len(group['seeds'])
    return '1 seed' if number == 1 else f'{number} seeds'


def _pooled_dice(group: Group) -> float:
    """Return the score by which groups are put in order; a group without one comes last."""
    value = group['measures'] and group['measures']['dice']['value']
    return -1.0 if value is None else value


def shown(groups: Sequence[Group]) -> list[Group]:
    """Choose the groups that plots show, by a rule that page and plots state.

    Args:
        groups: All groups.

    Returns:
        At most `SERIES` groups with scored images: first the configuration that was scored under most protocols, if there are
        several (two of its groups at least, and one place is kept for others), then those with the highest pooled Dice.
    """
    scored = [group for group in groups if group['per_image']]
    siblings: dict[tuple, list[Group]] = {}
    for group in scored:
        same = tuple(group[key] for key in ('config', 'kind', 'init', 'iterations', 'variant'))
        siblings.setdefault(same, []).append(group)
    first = max(siblings.values(), key=lambda found: (len(found), max(map(_pooled_dice, found))), default=[])
    first = first[: SERIES - 1] if len(first) > 1 else []
    rest = sorted((group for group in scored if group not in first), key=_pooled_dice, reverse=True)
    return [*first, *rest][:SERIES]


def named(index: int, group: Group) -> str:
    """Return marker, letter and name of a group that plots show, as HTML; ``index`` is its place among them."""
    return f'{key(index, LETTERS[index])}: {described(group)}'
