"""Which of the paper's conclusions hold: each a measured difference with its uncertainty and a verdict by a stated rule."""

from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.metrics.bootstrap import MIN_SUBJECTS
from octfluid.metrics.confusion import rounded
from octfluid.metrics.seeds import MIN_SEEDS, difference
from octfluid.records.provenance import FULL, SCRATCH, Start, thousands
from octfluid.records.runs import mixed
from octfluid.reporting.estimates import LEAKAGE, comparisons_table, family_of
from octfluid.reporting.formats import NOT_RUN, p_value, percent, points, points_interval
from octfluid.reporting.pages import Page, notes
from octfluid.reporting.published import read_published

HOLDS, CONTRADICTED, NOT_SETTLED = 'holds', 'contradicted', 'not settled'
ONE_SEED, FEW_SEEDS = 'no verdict (one seed)', 'no verdict (too few seeds)'
MARGIN = 0.01
"""A gain in fluid Dice from which on "no better" is wrong: one point."""
FAILED = 0.05
"""Fluid Dice below which a training has failed: next to everything is called background."""
LEVEL = 0.05
"""Largest Holm-corrected p-value with which a difference counts as shown."""
_SCORES = {'Dice': 'fluid Dice', 'mIoU': 'mIoU'}


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


def _row(item: Mapping[str, Any], over_patients: Mapping[str, Any] | None) -> list[str]:
    paper = item['paper'] or {}
    scores = [text for name in _SCORES for text in (points(paper.get(name)), points_interval(item['ours'][name]))]
    patients = points_interval(over_patients)
    if over_patients and over_patients['p_holm'] is not None:
        patients += f', Holm p {p_value(over_patients["p_holm"])}'
    judged = item['verdict'] + (f'; runs differ in {" and ".join(item["differ_in"])}' if item['differ_in'] else '')
    return [item['claim'], item['compared'], *scores, patients, f'{item["n"][0]} and {item["n"][1]}', judged]


def _not_run(item: Mapping[str, Any]) -> str:
    """Return one sentence on a conclusion without runs, with the paper's own difference."""
    gaps = item['paper'] or {}
    told = ', '.join(f'{points(gaps[key])} {name}' for key, name in _SCORES.items() if gaps.get(key) is not None)
    return f'{item["claim"]}: {item["compared"]}' + (f'; the paper: {told}.' if told else '.')


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


def _leakage_section(page: Page, comparisons: Sequence[Mapping[str, Any]]) -> None:
    page.heading('What patients on both sides of the split add')
    found = [item for item in comparisons if item['family'] == LEAKAGE]
    if not found:
        page.text("Not run: no config has runs under both the paper's split and leave-one-subject-out.")
        return
    page.text(*notes('leakage'))
    page.table(*comparisons_table(found))
    page.bullets(f'{item["arm"]}: {points(item["difference"])} points; {leakage_verdict(item)}.' for item in found)


def page(content: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]] = ()) -> Page:
    """Return ``what_holds_up.md`` from the outputs of `build` and `octfluid.reporting.estimates.compare` for the same runs."""
    page = Page('what_holds_up.md', 'What holds up')
    page.text("The paper's conclusions about fine-tuning, each as a difference between two groups of our runs, in points.")
    scores = [f'{name}, {whose}' for name in _SCORES.values() for whose in ('paper', 'ours')]
    header = ['conclusion', 'compared', *scores, 'over patients and seeds', 'seeds', 'verdict']
    by_claim = {(item['family'], item['title']): item for item in comparisons}
    for place, (key, judged) in enumerate(content['sections'].items()):
        start = Start.of(key)
        page.heading(start.title)
        if start.iterations != FULL:
            page.text(f"These weights are not the paper's, whose source training had {thousands(FULL)} iterations.")
        rows = [_row(item, by_claim.get((family_of(key), item['claim']))) for item in judged if item['verdict'] != NOT_RUN]
        if rows:
            page.table(header, rows)
        if place == 0 and (sentences := [_not_run(item) for item in judged if item['verdict'] == NOT_RUN]):
            page.text('Not run:')
            page.bullets(sentences)
    if not content['sections']:
        page.text('Not run: no run from vessel weights is recorded.')
    _leakage_section(page, comparisons)
    page.how_to_read(notes('conclusions', min_seeds=MIN_SEEDS, margin=points(MARGIN), failed=percent(FAILED)))
    return page
