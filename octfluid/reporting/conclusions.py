"""Which of the paper's conclusions hold: each a measured difference with its uncertainty and a verdict by a stated rule."""

from collections.abc import Mapping
from typing import Any

from octfluid.metrics.bootstrap import MIN_SUBJECTS
from octfluid.metrics.confusion import rounded
from octfluid.metrics.seeds import MIN_SEEDS, difference
from octfluid.records.provenance import SCRATCH, Start
from octfluid.records.runs import mixed
from octfluid.reporting.formats import NOT_RUN
from octfluid.reporting.published import read_published

HOLDS, CONTRADICTED, NOT_SETTLED = 'holds', 'contradicted', 'not settled'
ONE_SEED, FEW_SEEDS = 'no verdict (one seed)', 'no verdict (too few seeds)'
MARGIN = 0.01
"""A gain in fluid Dice from which on "no better" is wrong: one point."""
FAILED = 0.05
"""Fluid Dice below which a training has failed: next to everything is called background."""
LEVEL = 0.05
"""Largest Holm-corrected p-value with which a difference counts as shown."""
_SCORES = ('Dice', 'mIoU')


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


def build(table2: Mapping[str, Any], ablations: Mapping[str, Any]) -> dict[str, Any]:
    """Judge every conclusion, for each kind of vessel weights by itself.

    Args:
        table2: Output of `octfluid.reporting.table2.build`.
        ablations: Output of `octfluid.reporting.ablations.build`, whose runs were scored on the same files.

    Returns:
        ``sections``: `Start.key` of the vessel weights -> a list of the conclusions (see ``paper_conclusions.csv``) with
        ``claim``, ``compared``, ``direction``, ``paper`` (difference of the paper's scores by name, fractions; None where it
        has none), ``ours`` (Dice and mIoU -> output of `octfluid.metrics.seeds.difference`, or None), ``n`` (seeds of the two
        sides), ``differ_in`` (see `octfluid.records.runs.mixed`) and ``verdict``.
    """
    runs = {key: dict(section['runs']) for key, section in ablations['sections'].items()}
    for key, rows in table2['sections'].items():
        runs[key] = {**runs.get(key, {}), **rows}
    paper, claims = {str(row['row']): row['paper'] for row in table2['rows']}, read_published('paper_conclusions.csv')
    ordered = sorted(runs.keys() - {SCRATCH.key}, key=lambda key: Start.of(key).rank)
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
        return f'no interval, because fewer than {MIN_SUBJECTS} patients are in it: no verdict'
    if item['note']:
        return 'folds are missing: no verdict'
    low, high = item['interval']
    if low <= 0 <= high:
        return 'the interval contains 0: not settled'
    if item['p_holm'] is None or item['p_holm'] > LEVEL:
        return f'the interval does not contain 0, but p is above {LEVEL}: not settled'
    return "the paper's split flatters" if low > 0 else "the paper's split does not flatter"
