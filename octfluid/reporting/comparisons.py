"""Comparisons of configurations: leakage, the paper's conclusions and which of them hold, our recipes against the paper's.

Each is a measured difference with its interval; a verdict follows by a stated rule.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from octfluid.metrics import bootstrap
from octfluid.metrics.confusion import rounded
from octfluid.metrics.seed_intervals import MIN_SEEDS, difference
from octfluid.records.provenance import SCRATCH, Start
from octfluid.records.runs import Run, mixed
from octfluid.reporting import folds, table2
from octfluid.reporting.estimates import Group, groups_of
from octfluid.reporting.formats import NOT_RUN
from octfluid.reporting.published import read_published

LEAKAGE = 'leakage'
HOLDS, CONTRADICTED, NOT_SETTLED = 'holds', 'contradicted', 'not settled'
ONE_SEED, FEW_SEEDS = 'no verdict (one seed)', 'no verdict (too few seeds)'
MARGIN = 0.01
"""A gain in fluid Dice from which on "no better" is wrong: one point."""
FAILED = 0.05
"""Fluid Dice below which a training has failed: next to everything is called background."""
LEVEL = 0.05
"""Largest Holm-corrected p-value with which a difference counts as shown."""
VARIANTS = {'/columns': 'graded columns', '/across_devices': 'across devices'}
"""Configs that are compared with ``compact.py`` in their place, and what the comparison is about."""
_SCORES = ('Dice', 'mIoU')


def compare(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Compare every pair of groups that a conclusion of the paper, leakage or the recipes ask for.

    Returns:
        One mapping a comparison: ``family``, ``title``, ``arm``, ``reference``, ``measure``, ``protocol``, ``note``, and the
        output of `octfluid.metrics.bootstrap.paired` with ``p_holm``, which is corrected over the family.

    Raises:
        InputError: Runs that would be pooled, averaged or compared do not fit together.
    """
    groups = groups_of([run for run in runs if not run.changed])
    pairs = (*_leakage(groups), *_conclusions(groups), *_against_row10(groups), *_variants(groups))
    found = [item for pair in pairs if (item := _compared(*pair))]
    for family in {item['family'] for item in found}:
        members = [item for item in found if item['family'] == family]
        for item, corrected in zip(members, bootstrap.holm([item['p'] for item in members]), strict=True):
            item['p_holm'] = corrected
    return found


def _compared(family: str, title: str, *sides: Group) -> dict[str, Any] | None:
    """Compare arm and reference on the images that both have scored; None without one, or (but for leakage) without a fold."""
    missing, scored = [name for side in sides for name in side.missing], [side.scored() for side in sides]
    names = set.intersection(*(set(images.names) if images else set() for images in scored))
    if (missing and family != LEAKAGE) or not names:
        return None
    across = sides[0].key.protocol != sides[1].key.protocol
    record = sides[0].runs[0].record
    share = f'{len(names)} of the {len(record["images"])} images of split {record["split"]}'
    arm, reference = (side.title + (f', {side.key.protocol}' if across else '') for side in sides)
    return {
        'family': family,
        'title': title,
        'arm': arm,
        'reference': reference,
        'measure': 'dice',
        'protocol': sides[0].key.protocol,
        'note': f'on {share}; missing: {", ".join(missing)}' if missing else '',
        **bootstrap.paired(*(side.scored(names) for side in sides)),
        'p_holm': None,
    }


def _leakage(groups: Sequence[Group]) -> Iterator[tuple]:
    by_key = {group.key: group for group in groups}
    for key, group in by_key.items():
        by_patient = by_key.get(key._replace(protocol=folds.LEAVE_ONE_OUT))
        if key.protocol == 'paper' and by_patient:
            title = f'{group.title}: patients in the training minus patients left out'
            yield LEAKAGE, title, group, by_patient


def _conclusions(groups: Sequence[Group]) -> Iterator[tuple]:
    """Pair the rows of table 2 and the ablations of the paper's conclusions, trained for the iterations of their configs."""
    iterations = {row['row']: row['iterations'] for row in table2.paper_rows()}
    sides = {}
    for group in groups:
        run, key = group.runs[0], group.key
        whole = run.table == 'ablations' or (group.row in iterations and key.iterations == iterations[group.row])
        if whole and (key.kind, key.protocol, key.variant) == ('train', 'paper', ''):
            sides.setdefault((run.start, str(group.row) if group.row else run.config_stem), group)
    for start in sorted({start for start, _ in sides} - {SCRATCH}):
        for claim in read_published('paper_conclusions.csv'):
            arm = sides.get((start, claim['arm']))
            reference = sides.get((SCRATCH if claim['scratch'] else start, claim['reference']))
            if arm and reference:
                yield f'conclusions, {start.key}', claim['text'], arm, reference


def _against_row10(groups: Sequence[Group]) -> Iterator[tuple]:
    plain = [group for group in groups if (group.key.kind, group.key.variant) == ('train', '')]
    for group in (group for group in plain if group.runs[0].table == 'recipes'):
        same = (10, group.key.protocol, group.size)
        rivals = [rival for rival in plain if (rival.row, rival.key.protocol, rival.size) == same]
        if rivals:
            reference = min(rivals, key=lambda rival: rival.runs[0].start)
            yield f'against row 10, {group.key.protocol}', f'{group.title} minus {reference.title}', group, reference


def _variants(groups: Sequence[Group]) -> Iterator[tuple]:
    by_key = {group.key: group for group in groups}
    for (name, family), (key, group) in product(VARIANTS.items(), by_key.items()):
        compact = by_key.get(key._replace(config=key.config.replace(name, '/compact')))
        if compact and compact is not group:
            yield f'{family}, {key.protocol}', f'{group.title} minus {compact.title}', group, compact


def verdict(direction: str, arm: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """Judge a conclusion by the 95 % interval over seeds of the difference in fluid Dice.

    Args:
        direction: What the conclusion says of the arm: ``higher``, ``lower`` or ``no better`` than the reference, or that it
            ``fails``.
        arm: Output of `octfluid.records.runs.summarise`.
        reference: The same, of the runs to compare with.

    Returns:
        `HOLDS` if the interval is wholly on the conclusion's side of 0 (for ``no better``: ends below `MARGIN` and does not
        begin above 0; for ``fails``: every seed of the arm is below `FAILED`), `CONTRADICTED` if it is wholly on the other
        side (``no better``: above 0; ``fails``: every seed is above `FAILED`), otherwise `NOT_SETTLED`, also where both
        sides fail. `ONE_SEED` or `FEW_SEEDS` with fewer than `MIN_SEEDS` on a side.
    """
    fewest = min(arm['n'], reference['n'])
    if fewest < MIN_SEEDS:
        return ONE_SEED if fewest == 1 else FEW_SEEDS
    found, ours, others = difference(arm, reference, 'Dice'), arm['Dice']['values'], reference['Dice']['values']
    if found is None or max(*ours, *others) < (FAILED if direction == 'fails' else 1e-9):
        return NOT_SETTLED
    low, high = found['interval']
    holds, contradicted = {
        'higher': (low > 0, high < 0),
        'lower': (high < 0, low > 0),
        'no better': (low <= 0 and high < MARGIN, low > 0),
        'fails': (max(ours) < FAILED, min(ours) > FAILED),
    }[direction]
    return HOLDS if holds else CONTRADICTED if contradicted else NOT_SETTLED


def judge_conclusions(rows: Mapping[str, Any], ablations: Mapping[str, Any]) -> dict[str, Any]:
    """Judge every conclusion, for each kind of vessel weights by itself.

    Args:
        rows: Output of `octfluid.reporting.table2.build`.
        ablations: Output of `octfluid.reporting.ablations.build`, whose runs were scored on the same files.

    Returns:
        ``sections``: `Start.key` of the vessel weights -> a list of the conclusions (see ``paper_conclusions.csv``) with
        ``claim``, ``compared``, ``direction``, ``paper`` (difference of the paper's scores by name, fractions; None where it
        has none), ``ours`` (Dice and mIoU -> output of `octfluid.metrics.seed_intervals.difference`, or None), ``n`` (seeds of
        the two sides), ``differ_in`` (see `octfluid.records.runs.mixed`) and ``verdict``.
    """
    runs = {key: dict(section['runs']) for key, section in ablations['sections'].items()}
    for key, section in rows['sections'].items():
        runs[key] = {**runs.get(key, {}), **section}
    paper, claims = {str(row['row']): row['paper'] for row in rows['rows']}, read_published('paper_conclusions.csv')
    ordered = sorted(runs.keys() - {SCRATCH.key}, key=Start.of)
    return {'sections': {key: [_judged(claim, key, runs, paper) for claim in claims] for key in ordered}}


def _judged(claim: Mapping[str, str], key: str, runs: Mapping[str, Mapping], paper: Mapping[str, Mapping]) -> dict[str, Any]:
    sides, scratch = (claim['arm'], claim['reference']), claim['scratch']
    found = [runs[key].get(sides[0]), runs.get(SCRATCH.key if scratch else key, {}).get(sides[1])]
    both, gaps = None not in found, None
    if not scratch and paper.keys() >= set(sides):
        pairs = {name: [paper[side][name] for side in sides] for name in _SCORES}
        gaps = {name: None if None in pair else rounded(pair[0] - pair[1]) for name, pair in pairs.items()}
    names = [f'row {side}' if side.isdecimal() else f'`{side}`' for side in sides]
    return {
        'claim': claim['text'],
        'compared': f'{names[0]} minus {names[1]}' + (' from scratch' if scratch else ''),
        'direction': claim['direction'],
        'paper': gaps,
        'ours': {name: difference(*found, name) if both else None for name in _SCORES},
        'n': [side['n'] if side else 0 for side in found],
        'differ_in': mixed(*found) if both else [],
        'verdict': verdict(claim['direction'], *found) if both else NOT_RUN,
    }


def leakage_verdict(item: Mapping[str, Any]) -> str:
    """Judge a leakage by the interval over patients and by Holm's p-value, which must agree; with folds missing, not at all."""
    if item['interval'] is None:
        return f'no interval, because fewer than {bootstrap.MIN_SUBJECTS} patients are in it: no verdict'
    if item['note']:
        return 'folds are missing: no verdict'
    low, high = item['interval']
    if low <= 0 <= high:
        return 'the interval contains 0: not settled'
    if item['p_holm'] is None or item['p_holm'] > LEVEL:
        return f'the interval does not contain 0, but p is above {LEVEL}: not settled'
    return "the paper's split flatters" if low > 0 else "the paper's split does not flatter"
