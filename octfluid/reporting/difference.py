"""The difference between two groups of runs, and how far seeds alone can move it."""

import math
import statistics
from collections.abc import Mapping
from typing import Any

from scipy.special import stdtrit

from octfluid.records.runs import DECIMALS

CONFIDENCE = 0.95
MIN_SEEDS = 3
"""Seeds that both groups need for an interval."""


def difference(arm: Mapping[str, Any], reference: Mapping[str, Any], score: str) -> dict[str, Any] | None:
    """Compare the mean scores of two groups of runs.

    With the same seeds on both sides the interval is that of the mean of the differences seed by seed (Student's t, n - 1
    degrees of freedom), otherwise Welch's for two independent means (Welch-Satterthwaite degrees of freedom).

    Args:
        arm: Output of `octfluid.records.runs.summarise`.
        reference: The same, of the runs to compare with.
        score: mIoU, mDice, Dice or IoU.

    Returns:
        ``difference`` (arm minus reference, a fraction), ``interval`` (lower and upper end of the 95 % interval, None with
        fewer than `MIN_SEEDS` seeds on either side), ``paired``, ``n`` (seeds of arm and reference); None where a score is
        undefined.
    """
    first, second = arm[score]['values'], reference[score]['values']
    if None in first or None in second:
        return None
    paired = arm['seeds'] == reference['seeds']
    mean = statistics.fmean(first) - statistics.fmean(second)
    interval = None
    if min(len(first), len(second)) >= MIN_SEEDS:
        interval = _interval(mean, *(_paired_error(first, second) if paired else _welch_error(first, second)))
    return {'difference': round(mean, DECIMALS), 'interval': interval, 'paired': paired, 'n': [len(first), len(second)]}


def mean_interval(group: Mapping[str, Any], score: str) -> list[float] | None:
    """Return the 95 % interval of a group's mean score over seeds, by Student's t with n - 1 degrees of freedom.

    Args:
        group: Output of `octfluid.records.runs.summarise`.
        score: mIoU, mDice, Dice or IoU.

    Returns:
        Lower and upper end, fractions rounded to `DECIMALS`; None with fewer than `MIN_SEEDS` seeds or an undefined score.
    """
    values = group[score]['values']
    if None in values or len(values) < MIN_SEEDS:
        return None
    return _interval(statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values)), len(values) - 1)


def _interval(mean: float, error: float, freedom: float) -> list[float]:
    half = error * float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) if error else 0.0
    return [round(mean - half, DECIMALS), round(mean + half, DECIMALS)]


def _paired_error(first: list[float], second: list[float]) -> tuple[float, float]:
    """Return the standard error of the mean difference and its degrees of freedom; values are in the order of the seeds."""
    gaps = [a - b for a, b in zip(first, second, strict=True)]
    return statistics.stdev(gaps) / math.sqrt(len(gaps)), len(gaps) - 1


def _welch_error(first: list[float], second: list[float]) -> tuple[float, float]:
    parts = [(statistics.variance(values) / len(values), len(values) - 1) for values in (first, second)]
    total = sum(part for part, _ in parts)
    spread = sum(part**2 / freedom for part, freedom in parts)
    return math.sqrt(total), total**2 / spread if spread else 1


def points(value: float | None) -> str:
    """Return a difference of fractions in points (hundredths) with its sign, a dash for an undefined one."""
    if value is None:
        return '-'
    return f'{round(100 * value, 2) + 0.0:+.2f}'


def points_interval(found: Mapping[str, Any] | None) -> str:
    """Return the difference in points with its interval in brackets, as far as there is one."""
    if found is None:
        return '-'
    ends = found['interval']
    return points(found['difference']) + (f' [{points(ends[0])}, {points(ends[1])}]' if ends else '')
