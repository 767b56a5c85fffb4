"""The difference between two groups of trainings, and how far seeds alone can move it."""

import statistics
import warnings
from collections.abc import Mapping
from typing import Any

from scipy import stats

from octfluid.metrics.bootstrap import CONFIDENCE
from octfluid.metrics.confusion import DECIMALS

MIN_SEEDS = 3
"""Seeds that both groups need for an interval."""


def difference(arm: Mapping[str, Any], reference: Mapping[str, Any], score: str) -> dict[str, Any] | None:
    """Compare the mean scores of two groups of runs.

    Both are outputs of `octfluid.records.runs.summarise`, and ``score`` is mIoU, mDice, Dice or IoU. With the same seeds on
    both sides the interval is that of the paired t-test, otherwise of Welch's t-test.

    Returns:
        ``difference`` (arm minus reference, a fraction), ``interval`` (95 %, None with fewer than `MIN_SEEDS` seeds on either
        side), ``paired``, ``n`` (seeds of arm and reference); None where a score is undefined.
    """
    first, second = arm[score]['values'], reference[score]['values']
    if None in first or None in second:
        return None
    paired = arm['seeds'] == reference['seeds']
    mean = statistics.fmean(first) - statistics.fmean(second)
    interval = None
    if min(len(first), len(second)) >= MIN_SEEDS:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', RuntimeWarning)  # of p-values that nothing uses, where there is no spread
            test = stats.ttest_rel(first, second) if paired else stats.ttest_ind(first, second, equal_var=False)
        interval = [round(float(end), DECIMALS) for end in test.confidence_interval(CONFIDENCE)]
    return {'difference': round(mean, DECIMALS), 'interval': interval, 'paired': paired, 'n': [len(first), len(second)]}
