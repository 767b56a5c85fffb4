"""Which of the paper's conclusions hold: each a measured difference with its uncertainty and a verdict by a stated rule."""

from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.metrics.bootstrap import MIN_SUBJECTS
from octfluid.metrics.seeds import MIN_SEEDS, difference
from octfluid.records.provenance import FULL, SCRATCH, Start, thousands
from octfluid.records.runs import DECIMALS, mixed
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
    if direction == 'fails':
        return HOLDS if max(ours) < FAILED else CONTRADICTED if min(ours) > FAILED else NOT_SETTLED
    low, high = found['interval']
    if direction == 'lower':
        low, high = -high, -low
    if direction == 'no better':
        return CONTRADICTED if low > 0 else HOLDS if high < MARGIN else NOT_SETTLED
    return HOLDS if low > 0 else CONTRADICTED if high < 0 else NOT_SETTLED


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
    keys = {key for table in (table2, ablations) for key in table['sections']} - {SCRATCH.key}
    paper = {str(row['row']): row['paper'] for row in table2['rows']}
    claims = read_published('paper_conclusions.csv')
    ordered = sorted(keys, key=lambda key: Start.of(key).rank)
    return {'sections': {key: [_judged(claim, key, table2, ablations, paper) for claim in claims] for key in ordered}}


def _runs_of(side: str, key: str, table2: Mapping[str, Any], ablations: Mapping[str, Any]) -> Mapping[str, Any] | None:
    rows = table2['sections'].get(key, {})
    return rows.get(side) or ablations['sections'].get(key, {}).get('runs', {}).get(side)


def _judged(
    claim: Mapping[str, str], key: str, table2: Mapping, ablations: Mapping, paper: Mapping[str, Mapping]
) -> dict[str, Any]:
    arm = _runs_of(claim['arm'], key, table2, ablations)
    reference = _runs_of(claim['reference'], SCRATCH.key if claim['scratch'] else key, table2, ablations)
    both = arm and reference
    gaps = None
    if not claim['scratch'] and claim['arm'] in paper and claim['reference'] in paper:
        pairs = {name: (paper[claim['arm']][name], paper[claim['reference']][name]) for name in ('Dice', 'mIoU')}
        gaps = {name: None if None in pair else round(pair[0] - pair[1], DECIMALS) for name, pair in pairs.items()}
    return {
        'claim': claim['text'],
        'compared': _compared(claim),
        'direction': claim['direction'],
        'paper': gaps,
        'ours': {name: difference(arm, reference, name) if both else None for name in ('Dice', 'mIoU')},
        'n': [side['n'] if side else 0 for side in (arm, reference)],
        'differ_in': mixed(arm, reference) if both else [],
        'verdict': verdict(claim['direction'], arm, reference) if both else NOT_RUN,
    }


def _compared(claim: Mapping[str, str]) -> str:
    names = [f'row {side}' if side.isdecimal() else f'`{side}`' for side in (claim['arm'], claim['reference'])]
    return f'{names[0]} minus {names[1]}' + (' from scratch' if claim['scratch'] else '')


def _row(item: Mapping[str, Any], over_patients: Mapping[str, Any] | None) -> list[str]:
    scores = [
        text for name in ('Dice', 'mIoU')
        for text in (points((item['paper'] or {}).get(name)), points_interval(item['ours'][name]))
    ]  # fmt: skip
    patients = points_interval(over_patients)
    if over_patients and over_patients['p_holm'] is not None:
        patients += f', Holm p {p_value(over_patients["p_holm"])}'
    judged = item['verdict'] + (f'; runs differ in {" and ".join(item["differ_in"])}' if item['differ_in'] else '')
    return [item['claim'], item['compared'], *scores, patients, f'{item["n"][0]} and {item["n"][1]}', judged]


def _not_run(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one sentence for each conclusion without runs, with the paper's own difference."""
    sentences = []
    for item in judged:
        if item['verdict'] == NOT_RUN:
            gaps = item['paper'] or {}
            told = ', '.join(
                f'{points(gaps[key])} {name}' for key, name in (('Dice', 'fluid Dice'), ('mIoU', 'mIoU'))
                if gaps.get(key) is not None
            )  # fmt: skip
            sentences.append(f'{item["claim"]}: {item["compared"]}' + (f'; the paper: {told}.' if told else '.'))
    return sentences


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
    """Return ``what_holds_up.md``.

    Args:
        content: Output of `build`.
        comparisons: Output of `octfluid.reporting.estimates.compare` for the same runs.
    """
    page = Page('what_holds_up.md', 'What holds up')
    page.text("The paper's conclusions about fine-tuning, each as a difference between two groups of our runs, in points.")
    scores = [f'{name}, {whose}' for name in ('fluid Dice', 'mIoU') for whose in ('paper', 'ours')]
    header = ['conclusion', 'compared', *scores, 'over patients and seeds', 'seeds', 'verdict']
    by_claim = {(item['family'], item['title']): item for item in comparisons}
    for key, judged in content['sections'].items():
        start = Start.of(key)
        page.heading(start.title)
        if start.iterations != FULL:
            page.text(f"These weights are not the paper's, whose source training had {thousands(FULL)} iterations.")
        rows = [_row(item, by_claim.get((family_of(key), item['claim']))) for item in judged if item['verdict'] != NOT_RUN]
        if rows:
            page.table(header, rows)
        if key == next(iter(content['sections'])) and (sentences := _not_run(judged)):
            page.text('Not run:')
            page.bullets(sentences)
    if not content['sections']:
        page.text('Not run: no run from vessel weights is recorded.')
    _leakage_section(page, comparisons)
    page.how_to_read(notes('conclusions', min_seeds=MIN_SEEDS, margin=points(MARGIN), failed=percent(FAILED)))
    return page
