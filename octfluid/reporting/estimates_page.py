"""Page of scores with intervals over patients and seeds, and the section on leakage."""

from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.metrics.bootstrap import MIN_SUBJECTS
from octfluid.metrics.measures import MEASURES
from octfluid.reporting import markdown as md
from octfluid.reporting.comparisons import LEAKAGE
from octfluid.reporting.difference import points, points_interval
from octfluid.reporting.folds import LEAVE_ONE_OUT, UNKNOWN_FOLDS

LEVEL = 0.05
"""Largest Holm-corrected p-value with which a difference counts as shown."""
HEADLINE = ('dice', 'miou', 'mdice', 'image_dice', 'subject_dice')
AREAS = ('false_positive_px', 'area_bias_px', 'area_limit_low_px', 'area_limit_high_px')
"""Measures that are areas in pixels, and so have a value in square millimetres."""


def number(value: float | None, unit: str) -> str:
    """Return a measure's value as pages show it: ``%`` as percent, ``px`` with one decimal, else three; a dash for None."""
    if value is None:
        return '-'
    return md.percent(value) if unit == '%' else f'{value:.1f}' if unit == 'px' else f'{value:.3f}'


def estimate(found: Mapping[str, Any], unit: str) -> str:
    """Return ``value [low, high]`` from an element of `octfluid.metrics.bootstrap.estimates`."""
    ends = found['interval']
    return number(found['value'], unit) + (f' [{number(ends[0], unit)}, {number(ends[1], unit)}]' if ends else '')


def p_value(value: float | None) -> str:
    """Return a p-value with three decimals, a dash for None."""
    return '-' if value is None else f'{value:.3f}' if value >= 0.001 else '< 0.001'


def withheld(group: Mapping[str, Any]) -> str:
    """Say which folds a group lacks."""
    if any(UNKNOWN_FOLDS in name for name in group['missing']):
        return (
            'withheld; only of the Duke scans is it known here which folds there must be (the sweep pools those of other data)'
        )
    return f'withheld; no complete run of {", ".join(group["missing"])}'


def protocol(group: Mapping[str, Any]) -> str:
    """Return the protocol's name, with a word on patients that the training has seen, which no interval accounts for."""
    if 'trained-on-' in group['variant']:
        return f'{group["protocol"]} (trained on other lists: these very scans may have been seen)'
    return group['protocol'] + (' (patients seen in training)' if group['shared_subjects'] else '')


def headline_table(groups: Sequence[Mapping[str, Any]]) -> str:
    """Return one line a group as a Markdown table: what was run, and its main measures with intervals."""
    header = ['config', 'protocol', 'initial weights', 'iterations', 'seeds', 'images', 'subjects']
    header += [MEASURES[name].title + (' %' if MEASURES[name].unit == '%' else '') for name in HEADLINE]
    lines = []
    for group in groups:
        scores = ['-'] * len(HEADLINE)
        if group['measures'] is None:
            scores[0] = withheld(group)
        else:
            scores = [estimate(group['measures'][name], MEASURES[name].unit) for name in HEADLINE]
        lines.append([
            ', '.join(part for part in (f'`{group["config"]}`', group['kind'], group['variant']) if part not in ('train', '')),
            protocol(group),
            group['init'],
            str(group['iterations']),
            str(len(group['seeds'])) + md.mark(group),
            f'{group["images"]} ({group["with_fluid"]} with fluid)',
            str(group['subjects']),
            *scores,
        ])  # fmt: skip
    return md.table(header, lines)


def measures_table(group: Mapping[str, Any]) -> str:
    """Return every measure of one group as a Markdown table; areas in square millimetres too where the scale is known."""
    lines = []
    for name, measure in MEASURES.items():
        found, scale = group['measures'][name], group['pixel_mm2']
        cell = estimate(found, measure.unit)
        if name in AREAS and scale and found['value'] is not None:
            cell += f' ({found["value"] * scale:.4f} mm², nominal)'
        unit = f' ({measure.unit})' if measure.unit else ''
        lines.append([measure.title + unit, cell, str(found['images'])])
    text = md.table(['measure', 'value [95 % interval]', 'images'], lines)
    if group['with_fluid'] and group['measures']['surface_dice_1px']['value'] is None:
        text += '\nOutlines and pockets are not in these records, which are older than those measures.\n'
    return text


def comparisons_table(items: Sequence[Mapping[str, Any]]) -> str:
    """Return one line a comparison as a Markdown table: the difference in points, its interval, p-values."""
    header = ['difference in fluid Dice', 'points [95 % interval]', 'p', 'p, Holm', 'images', 'subjects', 'seeds', 'note']
    lines = [
        [
            item['title'],
            points_interval(item),
            p_value(item['p']),
            p_value(item['p_holm']),
            str(item['images']),
            str(item['subjects']),
            f'{item["seeds"][0]} and {item["seeds"][1]}',
            item['note'] or '-',
        ]
        for item in items
    ]
    return md.table(header, lines)


def leakage_section(comparisons: Sequence[Mapping[str, Any]]) -> str:
    """Return the section that says how much patients on both sides of a split flatter, from `comparisons.build`."""
    found = [item for item in comparisons if item['family'] == LEAKAGE]
    text = '## What patients on both sides of the split add\n\n'
    if not found:
        return text + (
            f"{md.PENDING.capitalize()}: no config has runs under both the paper's split and leave-one-subject-out.\n\n"
        )
    text += (
        "The same config trained on the paper's split, where neighbouring slices of a scored patient are in the training, and "
        "with that patient left out; both scored on the same images of the paper's validation list. A difference above 0 is "
        'what the leak adds to the score.\n\n'
    )
    text += comparisons_table(found) + '\n'
    for item in found:
        text += f'- {item["arm"]}: {points(item["difference"])} points; {leakage_verdict(item)}.\n'
    return text + '\n'


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


def sentences(estimates: Mapping[str, Any]) -> str:
    """Return, for the README, what each complete leave-one-subject-out says and what leaks add; empty without such runs."""
    found = [
        f'`{group["config"]}` from {group["init"]}: {estimate(group["measures"]["dice"], "%")} '
        f'(n = {len(group["seeds"])}{md.mark(group)})'
        for group in estimates['groups']
        if group['protocol'] == LEAVE_ONE_OUT and group['kind'] == 'train' and group['measures']
    ]
    text = ''
    if found:
        text += (
            'On patients that the network never saw (leave one subject out, all folds pooled), fluid Dice in percent with its '
            f'95 % interval over patients and seeds: {"; ".join(found)}.\n'
        )
    for item in estimates['comparisons']:
        if item['family'] == LEAKAGE:
            who = item['arm'].removesuffix(f', {item["protocol"]}')
            text += (
                f'\nPatients on both sides of the split add {points_interval(item)} points of fluid Dice to {who}, measured on '
                f'{item["images"]} scans of {item["subjects"]} {"patient" if item["subjects"] == 1 else "patients"}'
                + ('.\n' if item['interval'] else f': too few for an interval (fewer than {MIN_SUBJECTS}).\n')
            )
    return text


def render(estimates: Mapping[str, Any]) -> str:
    """Return ``estimates.md`` from ``groups`` and ``comparisons``."""
    groups = estimates['groups']
    text = f'# Scores with intervals over patients and seeds\n\n{md.WRITTEN_BY}\n\n'
    left_out = md.not_used_section(estimates['not_used'])
    if not groups:
        return text + 'No run is recorded that counts.\n' + left_out
    text += headline_table(groups) + '\n' + ''.join(f'{note}\n\n' for note in md.mixed_notes(headline_table(groups)))
    text += 'What each measure is, and how empty masks are treated: [../metrics.md](../metrics.md).\n\n## How to read it\n\n'
    text += md.bullets([
        'In brackets the 95 % interval of a bootstrap that draws patients, and seeds within each draw, with replacement: it '
        'speaks of new patients and new seeds like these. With one seed it says nothing about seeds, and with about ten '
        f'patients it is somewhat too narrow. With fewer than {MIN_SUBJECTS} patients there is none.',
        'Under the paper\'s split every scored patient has other slices in the training, so its figures say little about new '
        'patients, whatever their intervals. Under leave-one-subject-out each image is scored once, by a model that never saw '
        'its patient, and all folds are pooled; a figure with a fold missing is withheld.',
        'p: permutation test that exchanges the two sides patient by patient; Holm: corrected over the comparisons of one '
        'family. An interval can lie far from 0 where p is not small: patients without fluid add nothing to either side, and '
        'with few others there are few exchanges, so that p cannot be small. Believe a difference that both support.',
    ])  # fmt: skip
    families = list(dict.fromkeys(item['family'] for item in estimates['comparisons']))
    for family in families:
        members = [item for item in estimates['comparisons'] if item['family'] == family]
        text += f'\n## Differences: {family}\n\n{comparisons_table(members)}'
    for group in groups:
        if group['measures'] is not None:
            text += f'\n## `{group["key"]}`\n\n{measures_table(group)}'
    return text + left_out
