"""Which of the paper's conclusions survive: each a measured difference with its uncertainty and a verdict by a stated rule."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.records.runs import DECIMALS, mixed
from octfluid.records.starts import FULL, PENDING_START, SCRATCH, Start, thousands
from octfluid.reporting import markdown as md
from octfluid.reporting.claims import CLAIMS, FAILS, LOWER, NO_BETTER, Claim
from octfluid.reporting.comparisons import of_claim
from octfluid.reporting.difference import CONFIDENCE, MIN_SEEDS, difference, mean_interval, points, points_interval
from octfluid.reporting.estimates_page import leakage_section, p_value
from octfluid.reporting.markdown import PENDING, percent

HOLDS, CONTRADICTED, NOT_SETTLED, ONE_SEED = 'holds', 'contradicted', 'not settled', 'no verdict (one seed)'
FEW_SEEDS, NO_FLUID = 'no verdict (too few seeds)', 'not settled (no fluid outlined on either side)'
BOTH_FAIL = 'not settled (the other side fails too)'
MARGIN = 0.01
"""A gain in fluid Dice from which on "no better" would be wrong: one point."""
FAILED = 0.05
"""Fluid Dice below which training has failed: next to everything is called background."""


def verdict(direction: str, found: Mapping[str, Any] | None, fluid_outlined: bool = True) -> str:
    """Judge a conclusion by the interval of the difference in fluid Dice.

    Args:
        direction: What the conclusion says of the difference.
        found: Output of `octfluid.reporting.difference.difference`, None if it is undefined.
        fluid_outlined: Whether any run of the two groups has a fluid Dice above 0.

    Returns:
        `HOLDS` if the interval lies wholly on the conclusion's side of 0 (for `NO_BETTER`: it reaches above 0, but not to
        `MARGIN`, or lies wholly below 0), `CONTRADICTED` if it lies wholly on the other side (for `NO_BETTER`: above 0),
        otherwise `NOT_SETTLED`. Without an interval `ONE_SEED` or `FEW_SEEDS`.
    """
    if found is None:
        return NOT_SETTLED
    if found['interval'] is None:
        return ONE_SEED if min(found['n']) == 1 else FEW_SEEDS
    if not fluid_outlined:
        return NO_FLUID
    low, high = found['interval']
    if direction == LOWER:
        low, high = -high, -low
    if direction == NO_BETTER:
        return CONTRADICTED if low > 0 else HOLDS if high < MARGIN else NOT_SETTLED
    return HOLDS if low > 0 else CONTRADICTED if high < 0 else NOT_SETTLED


def verdict_of_failure(arm: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """Judge the conclusion that a training fails, by its own fluid Dice and not by a difference.

    Args:
        arm: Output of `octfluid.records.runs.summarise`.
        reference: The same, of the training that should not fail.

    Returns:
        `HOLDS` if every seed of the arm is below `FAILED`, `CONTRADICTED` if the interval of its mean lies wholly above it,
        otherwise, or where a score is undefined, `NOT_SETTLED`; `BOTH_FAIL` if every seed of the reference is below `FAILED`
        too. `ONE_SEED` or `FEW_SEEDS` with fewer than `MIN_SEEDS` on a side.
    """
    fewest = min(arm['n'], reference['n'])
    if fewest < MIN_SEEDS:
        return ONE_SEED if fewest == 1 else FEW_SEEDS
    ours, others = arm['Dice']['values'], reference['Dice']['values']
    if None in (*ours, *others):
        return NOT_SETTLED
    if max(ours) < FAILED:
        return BOTH_FAIL if max(others) < FAILED else HOLDS
    return CONTRADICTED if mean_interval(arm, 'Dice')[0] > FAILED else NOT_SETTLED


def build(table2: Mapping[str, Any], ablations: Mapping[str, Any]) -> dict[str, Any]:
    """Judge every conclusion, for each kind of vessel weights by itself.

    Args:
        table2: Output of `octfluid.reporting.table2.build`.
        ablations: Output of `octfluid.reporting.ablations.build`, whose runs were scored on the same files.

    Returns:
        ``sections``: `Start.key` of the vessel weights -> a list, in the order of `CLAIMS`, of mappings with ``claim``,
        ``compared``, ``direction``, ``paper`` (difference of the paper's scores by name, fractions; None where it has none),
        ``ours`` (Dice and mIoU -> output of `difference`, or None), ``arm`` (for `FAILS`, mean and interval of the arm's own
        fluid Dice; otherwise None), ``n`` (seeds of the two sides), ``differ_in`` (see `octfluid.records.runs.mixed`) and
        ``verdict``.
    """
    keys = {key for table in (table2, ablations) for key in table['sections'] if key != SCRATCH.key}
    if any(Start.of(key).iterations == FULL for key in keys - {PENDING_START.key}):
        keys.discard(PENDING_START.key)
    paper = {row['row']: row['paper'] for row in table2['rows']}
    ordered = sorted(keys, key=lambda key: Start.of(key).rank)
    return {'sections': {key: [_judged(claim, key, table2, ablations, paper) for claim in CLAIMS] for key in ordered}}


def _runs_of(side: int | str, key: str, table2: Mapping[str, Any], ablations: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if isinstance(side, int):
        return table2['sections'].get(key, {}).get(str(side))
    return ablations['sections'].get(key, {}).get('runs', {}).get(side)


def _judged(claim: Claim, key: str, table2: Mapping, ablations: Mapping, paper: Mapping[int, Mapping]) -> dict[str, Any]:
    arm = _runs_of(claim.arm, key, table2, ablations)
    reference = _runs_of(claim.reference, SCRATCH.key if claim.from_scratch else key, table2, ablations)
    ours = {name: difference(arm, reference, name) if arm and reference else None for name in ('Dice', 'mIoU')}
    outcome, alone = PENDING, None
    if arm and reference and claim.direction == FAILS:
        outcome = verdict_of_failure(arm, reference)
        alone = {'mean': arm['Dice']['mean'], 'interval': mean_interval(arm, 'Dice')}
    elif arm and reference:
        outlined = any(value for side in (arm, reference) for value in side['Dice']['values'])
        outcome = verdict(claim.direction, ours['Dice'], outlined)
    return {
        'claim': claim.text,
        'compared': claim.compared,
        'direction': claim.direction,
        'paper': _paper_gaps(claim, paper),
        'ours': ours,
        'arm': alone,
        'n': [side['n'] if side else 0 for side in (arm, reference)],
        'differ_in': mixed(arm, reference) if arm and reference else [],
        'verdict': outcome,
    }


def _paper_gaps(claim: Claim, paper: Mapping[int, Mapping[str, float | None]]) -> dict[str, float | None] | None:
    """Return the differences of the paper's own scores, None where it ran only one side."""
    if claim.from_scratch or not (isinstance(claim.arm, int) and isinstance(claim.reference, int)):
        return None
    pairs = {name: (paper[claim.arm][name], paper[claim.reference][name]) for name in ('Dice', 'mIoU')}
    return {name: None if None in pair else round(pair[0] - pair[1], DECIMALS) for name, pair in pairs.items()}


def counts_line(judged: list[Mapping[str, Any]]) -> str:
    """Return how many conclusions have which verdict, such as ``3 holds, 13 pending``."""
    return ', '.join(f'{number} {name}' for name, number in Counter(item['verdict'] for item in judged).most_common())


def _verdict_cell(item: Mapping[str, Any]) -> str:
    text = item['verdict']
    if alone := item['arm']:
        ends = alone['interval']
        text += f'; by itself {percent(alone["mean"])}' + (f' [{percent(ends[0])}, {percent(ends[1])}]' if ends else '')
    return text + (f'; runs differ in {" and ".join(item["differ_in"])}' if item['differ_in'] else '')


def _over_patients(found: Mapping[str, Any] | None) -> str:
    """Return the difference that the cluster bootstrap finds, with its interval and Holm's p-value."""
    if found is None:
        return '-'
    return points_interval(found) + ('' if found['p_holm'] is None else f', Holm p {p_value(found["p_holm"])}')


def _section(key: str, judged: list[Mapping[str, Any]], comparisons: Sequence[Mapping[str, Any]], whole: bool) -> str:
    """Return a section: with ``whole``, pending conclusions too; otherwise only their number."""
    scores = [f'{name}, {whose}' for name in ('fluid Dice', 'mIoU') for whose in ('paper', 'ours')]
    header = ['conclusion', 'compared', *scores, 'over patients and seeds', 'seeds', 'verdict']
    lines = []
    shown = [item for item in judged if whole or item['verdict'] != PENDING]
    for item in shown:
        scores = [
            text
            for name in ('Dice', 'mIoU')
            for text in (points((item['paper'] or {}).get(name)), points_interval(item['ours'][name]))
        ]
        seeds = f'{item["n"][0]} and {item["n"][1]}'
        patients = _over_patients(of_claim(comparisons, key, item['claim']))
        lines.append([item['claim'], item['compared'], *scores, patients, seeds, _verdict_cell(item)])
    start = Start.of(key)
    length = {
        'shorter': "These weights are not the paper's: their source training was shorter.\n\n",
        'longer': "These weights are not the paper's: their source training was longer.\n\n",
        'unknown': "How long these weights' source training was is not known; the paper's had "
        f'{thousands(FULL)} iterations.\n\n',
    }.get(start.beside_full, '')
    left_out = f'Pending: {len(judged) - len(shown)} further conclusions.\n\n' if len(shown) < len(judged) else ''
    return f'## {start.title}\n\n{length}' + (f'{md.table(header, lines)}\n' if lines else '') + left_out


def render(content: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return ``what_holds_up.md``.

    Args:
        content: Output of `build`.
        comparisons: Output of `octfluid.reporting.comparisons.build` for the same runs.
    """
    text = f'# What holds up\n\n{md.WRITTEN_BY}\n\n'
    text += "The paper's conclusions about fine-tuning, each as a difference between two groups of our runs, in points.\n\n"
    for index, (key, judged) in enumerate(content['sections'].items()):
        text += _section(key, judged, comparisons, whole=index == 0)
    text += leakage_section(comparisons)
    share = f'{percent(CONFIDENCE).removesuffix(".00")} %'
    notes = [
        f'Differences are of mean scores, in points. In brackets beside the scores, with {MIN_SEEDS} seeds or more on both '
        f'sides: the {share} '
        "interval over seeds, by Student's t of the differences seed by seed where both sides have the same seeds, by "
        "Welch's otherwise. Each stands for itself: with many conclusions judged, one of them may fall outside by chance.",
        'The verdict follows from the interval of the fluid Dice alone; mIoU is shown beside it, because the paper reports it.',
        f'"{HOLDS}": the interval lies wholly on the side of 0 that the conclusion names. "{CONTRADICTED}": wholly on the '
        f'other side. "{NOT_SETTLED}": it contains 0.',
        'A conclusion that something is no better is contradicted if the interval lies wholly above 0, and holds only if the '
        f'interval ends below a gain of {points(MARGIN)} points; a wide interval around 0 proves nothing and is '
        f'"{NOT_SETTLED}".',
        f'That Adam fails is judged by its row itself: "{HOLDS}" if every seed has a fluid Dice below {percent(FAILED)} %, '
        'which '
        f'is calling next to everything background; "{CONTRADICTED}" if the {share} interval of its mean (in brackets, beside '
        'the verdict) lies wholly above that. Where every seed of the other side fails in the same way, nothing is settled.',
        f'"{ONE_SEED}" and "{FEW_SEEDS}": fewer than {MIN_SEEDS} seeds on a side, from which no spread can be told. '
        f'"{PENDING}": a side has no runs. Where no run of either side outlines any fluid, nothing is settled.',
        'Seeds vary the random draws of training: order, windows, dropout, and initial weights where they are random. The '
        'source weights are one training each, and the scored images are always the same, of patients who have other slices '
        'in the training: the intervals speak of seeds, not of new patients.',
        'Runs that differ in device or precision are compared all the same, and the verdict says so: the intervals do not tell '
        'that difference from the one in question. Which ran where is in [results.json](results.json).',
        'Both sides of a comparison start from weights of the same origin and length, but for the conclusions about transfer. '
        'Means and spreads, devices and precisions: [table2.md](table2.md), [ablations.md](ablations.md).',
    ]
    return text + '## How to read it\n\n' + md.bullets(notes)
