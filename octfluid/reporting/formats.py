"""How pages write numbers, initial weights, and what was run where."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from octfluid.records.provenance import Start
from octfluid.records.runs import mixed

NOT_RUN = 'not run'
MIXED = '†'
"""Marks scores from runs on different devices or in different precision."""
MIXED_NOTE = f'{MIXED}: the runs differ in device or precision, which adds to their differences.'
SCORES = {'mIoU': 'mIoU', 'mDice': 'mDice', 'Dice': 'fluid Dice', 'IoU': 'fluid IoU'}
FREE = {
    'average_precision': 'average precision',
    'best_dice': 'fluid Dice, best threshold',
    'calibration_error': 'calibration error',
}


def thousands(number: int) -> str:
    """Return a whole number with a space between groups of three digits."""
    return f'{number:,}'.replace(',', ' ')


def percent(value: float | None) -> str:
    """Return a fraction as percent with two decimals, a dash for None."""
    return '-' if value is None else f'{100 * value:.2f}'


def points(value: float | None) -> str:
    """Return a difference of fractions in points (hundredths) with its sign, a dash for None."""
    return '-' if value is None else f'{round(100 * value, 2) + 0.0:+.2f}'


def number(value: float | None, unit: str) -> str:
    """Return a measure: ``%`` in percent, ``px`` with one decimal, anything else with three; a dash for None."""
    if value is None:
        return '-'
    return percent(value) if unit == '%' else f'{value:.1f}' if unit == 'px' else f'{value:.3f}'


def spread(score: Mapping[str, Any]) -> str:
    """Return ``mean ± SD`` in percent from an element of `octfluid.records.runs.summarise`; no SD for one run."""
    return percent(score['mean']) + ('' if score['sd'] is None else f' ± {percent(score["sd"])}')


def points_interval(found: Mapping[str, Any] | None) -> str:
    """Return ``difference [low, high]`` in points; no brackets without an interval, a dash for None."""
    return '-' if found is None else points(found['difference']) + _brackets(found['interval'], points)


def estimate(found: Mapping[str, Any], unit: str = '%') -> str:
    """Return ``value [low, high]`` from an element of `octfluid.metrics.bootstrap.estimates`."""
    return number(found['value'], unit) + _brackets(found['interval'], lambda end: number(end, unit))


def _brackets(ends: Sequence[float] | None, write: Any) -> str:
    return f' [{write(ends[0])}, {write(ends[1])}]' if ends else ''


def p_value(value: float | None) -> str:
    """Return a p-value with three decimals, a dash for None."""
    return '-' if value is None else f'{value:.3f}' if value >= 0.001 else '< 0.001'


def duration(seconds: float | None) -> str:
    """Return hours and minutes, or minutes and seconds below an hour; a dash for None."""
    if seconds is None:
        return '-'
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60} h {minutes % 60:02d} min' if minutes >= 60 else f'{minutes} min {rest:02d} s'


def _length(start: Start) -> str:
    return 'an unknown number of iterations' if start.iterations is None else f'{thousands(start.iterations)} iterations'


def start_title(key: str) -> str:
    """Return the heading of the section of initial weights, from their `Start.key`."""
    start = Start.of(key)
    return {
        'hrf-own': f'From HRF vessel weights trained here, {_length(start)} (`hrf-own`)',
        'hrf-zoo': f"From the model zoo's HRF vessel weights, {_length(start)}, as in the paper (`hrf-zoo`)",
        'scratch': 'From scratch (`--init none`)',
    }[start.source]


def start_label(key: str) -> str:
    """Return a short name of initial weights, from their `Start.key`."""
    start = Start.of(key)
    return 'from scratch' if key == 'scratch' else f'from HRF ({start.source.removeprefix("hrf-")}), {_length(start)}'


def mark(*summaries: Mapping[str, Any] | None) -> str:
    """Return `MIXED` after a space if the runs of the summaries differ in device or precision; None counts as no runs."""
    return f' {MIXED}' if mixed(*filter(None, summaries)) else ''


def seeds(summary: Mapping[str, Any]) -> str:
    """Return the number of ``seeds`` of a summary or group, with a `mark`."""
    return f'{len(summary["seeds"])}{mark(summary)}'


def conditions(summaries: Iterable[Mapping[str, Any] | None], weights: Iterable[Mapping[str, str]] = ()) -> str:
    """Return one paragraph: devices, precisions and initial weights of runs; empty without runs.

    Args:
        summaries: Mappings with ``devices`` and ``precisions`` (name -> number of runs); None counts as no runs.
        weights: Output of `octfluid.records.runs.weights_of`.
    """
    parts, kept = [], [summary for summary in summaries if summary]
    for key in ('devices', 'precisions'):
        found = sum((Counter(summary[key]) for summary in kept), Counter())
        parts.append('; '.join(f'{name} ({n} {"run" if n == 1 else "runs"})' for name, n in sorted(found.items())))
    files = ', '.join(f'`{item["name"]}` (SHA-256 `{item["sha256"][:8]}...`)' for item in weights)
    return f'Device: {parts[0]}. Precision: {parts[1]}.' + (f' Initial weights: {files}.' if files else '') if parts[0] else ''


def config_link(config: str, text: str | int | None = None) -> str:
    """Return a Markdown link from a page to a config, such as ``configs/table2/01_iters200.py``."""
    return f'[{text or f"`{config}`"}](../../{config})'


def records_link(labels: Sequence[str], text: str = 'record') -> str:
    """Return a Markdown link from a page to a published record, or to the folder of several."""
    target = labels[0] if len(labels) == 1 else labels[0].rpartition('/')[0]
    return f'[{text}](records/{target})'
