"""How far measures can be trusted: intervals over patients and seeds, paired comparisons, correction for many of them.

The unit of drawing is the patient, because B-scans of one patient resemble each other. Each replicate draws as many subjects as
there are, with replacement, each with all its images, and as many seeds as there are (cluster bootstrap: Davison and Hinkley,
"Bootstrap Methods and their Application", 1997, section 3.8; Field and Welsh, J R Stat Soc B 69:369, 2007). The interval is
that of percentiles (Efron 1979). With some ten clusters it is too narrow (Cameron, Gelbach and Miller, Rev Econ Stat 90:414,
2008), and with one seed it says nothing about other seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from octfluid.metrics.confusion import rounded
from octfluid.metrics.summary import FEATURES, MEASURES, Measure, Scored, by_feature, check_same_images, dice, subject_features

CONFIDENCE = 0.95
MIN_SUBJECTS = 5
"""Subjects that an interval or a p-value needs."""

MAX_UNDEFINED = 0.05
"""Largest share of replicates that may be left out of an interval because the measure is undefined there."""

EXACT_SUBJECTS = 14
"""With at most this many subjects a permutation test makes all 2**P exchanges, with more `PERMUTATIONS` random ones."""

PERMUTATIONS = 10_000

_SAME = 1e-12  # differences of fractions closer than this are equal: exchanges that tie differ in their last bits


def estimates(scored: Scored, *, replicates: int = 10_000, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Estimate every measure of a configuration, with its 95 % interval over patients and seeds.

    The same ``seed`` of the random numbers gives the same numbers.

    Returns:
        For each name of `octfluid.metrics.summary.MEASURES`, in its order: ``value``, the mean over seeds, None where it is
        undefined for any seed; ``interval``, lower and upper end; ``images``, how many images it rests on, the fewest of any
        seed, 0 where undefined. Fractions or px, rounded. The interval is None without a value, where the images are of fewer
        than `MIN_SUBJECTS` subjects or of an unknown one, or where more than `MAX_UNDEFINED` of the replicates leave the
        measure undefined; fewer are left out.
    """
    table = subject_features(scored)
    totals = by_feature(table.sum(axis=-1))
    values = {name: _value(measure, totals) for name, measure in MEASURES.items()}
    defined = [MEASURES[name] for name, value in values.items() if value is not None]
    images = {measure.name: int(totals[measure.images].min()) for measure in defined}
    rng = np.random.default_rng(seed)
    patients, seeds = _draws(rng, replicates, table.shape[2]), _draws(rng, replicates, table.shape[1])
    enough = [measure for measure in defined if _enough(scored, table[FEATURES.index(measure.images)])]
    intervals = {name: _interval(drawn) for name, drawn in _replicates(enough, table, patients, seeds).items()}
    return {
        name: {'value': rounded(value), 'interval': intervals.get(name), 'images': images.get(name, 0)}
        for name, value in values.items()
    }


def paired(arm: Scored, reference: Scored, *, replicates: int = 10_000, seed: int = 0) -> dict[str, Any]:
    """Compare the Dice of two configurations on the same images.

    The interval draws the same subjects for both sides and the seeds of each side on their own. p is of a two-sided paired
    permutation test: the results of a subject, counts averaged over seeds, are exchanged between the two (Fisher 1935, chapter
    3), in all 2**P ways with at most `EXACT_SUBJECTS` subjects, otherwise in `PERMUTATIONS` random ones, where p = (1 + b) /
    (1 + n) (Phipson and Smyth, Stat Appl Genet Mol Biol 9:39, 2010). So p is about new patients for these trainings, and exact
    for equal numbers of seeds. An exchange that leaves Dice undefined counts as extreme, which
    `scipy.stats.permutation_test` cannot do.

    Returns:
        ``difference`` (arm minus reference, a fraction; None where Dice is undefined for any seed), ``interval`` and
        ``p`` (None as in `estimates`), ``permutations`` (exchanges made, 0 without p), ``exact`` (whether these were all), and
        the numbers of ``subjects``, ``images`` and ``seeds`` (of arm and reference).

    Raises:
        InputError: The images are not the same.
    """
    check_same_images(arm, reference)
    of, tables = MEASURES['dice'], [subject_features(side) for side in (arm, reference)]
    values = [_value(of, by_feature(table.sum(axis=-1))) for table in tables]
    difference = None if None in values else values[0] - values[1]
    interval, p, exchanges = None, None, 0
    if difference is not None and _enough(arm, tables[0][FEATURES.index(of.images)]):
        rng = np.random.default_rng(seed)
        patients = _draws(rng, replicates, tables[0].shape[2])
        sides = [_replicates([of], table, patients, _draws(rng, replicates, table.shape[1]))['dice'] for table in tables]
        interval = _interval(sides[0] - sides[1])
        p, exchanges = _permutation_p(*(table.mean(axis=1) for table in tables), rng)
    return {
        'difference': rounded(difference),
        'interval': interval,
        'p': rounded(p),
        'permutations': exchanges,
        'exact': p is not None and len(arm.patients) <= EXACT_SUBJECTS,
        'subjects': len(arm.patients),
        'images': len(arm.names),
        'seeds': [len(arm.seeds), len(reference.seeds)],
    }


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct the p-values of a family of comparisons, so that the chance of any false finding stays below the level.

    Holm, Scand J Statist 6:65, 1979: of m values in ascending order the k-th is multiplied by m - k + 1, is at least what the
    one before became, and at most 1. None (no test was made) stays None and does not count in the family.
    """
    order = sorted((index for index, p in enumerate(p_values) if p is not None), key=lambda index: p_values[index])
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[index]))
        corrected[index] = rounded(least)
    return corrected


def _enough(scored: Scored, images: np.ndarray) -> bool:
    # images: (S, P), how many images of each patient a measure rests on
    return None not in scored.subjects and int(np.count_nonzero(images, axis=1).min()) >= MIN_SUBJECTS


def _value(measure: Measure, totals: Mapping[str, np.ndarray]) -> float | None:
    by_seed = measure.of(totals)
    return None if np.isnan(by_seed).any() else float(by_seed.mean())


def _draws(rng: np.random.Generator, replicates: int, n: int) -> np.ndarray:
    """Draw n of n with replacement; returns (n, replicates) float64, how often each was drawn."""
    drawn = rng.integers(n, size=(replicates, n)) + n * np.arange(replicates)[:, None]
    return np.bincount(drawn.ravel(), minlength=n * replicates).reshape(replicates, n).T.astype(float)


def _replicates(
    measures: Sequence[Measure], table: np.ndarray, patients: np.ndarray, seeds: np.ndarray
) -> dict[str, np.ndarray]:
    """Return (R,) values of measures in every replicate, the mean over the seeds drawn; NaN where one of them is undefined.

    ``table`` holds (F, S, P) features by seed and subject; ``patients`` (P, R) and ``seeds`` (S, R) how often each is drawn.
    """
    sums = by_feature(table @ patients)
    return {measure.name: (np.where(seeds > 0, measure.of(sums), 0) * seeds).sum(axis=0) / len(seeds) for measure in measures}


def _interval(values: np.ndarray) -> list[float] | None:
    defined = values[~np.isnan(values)]
    if len(values) - len(defined) > MAX_UNDEFINED * len(values):
        return None
    tail = 50 * (1 - CONFIDENCE)
    return [rounded(end) for end in np.percentile(defined, [tail, 100 - tail])]


def _permutation_p(arm: np.ndarray, reference: np.ndarray, rng: np.random.Generator) -> tuple[float, int]:
    """Return the two-sided p of exchanging arm and reference, (F, P) features averaged over seeds, and the exchanges made."""
    subjects = arm.shape[1]
    exact = subjects <= EXACT_SUBJECTS
    if exact:
        swapped = (np.arange(2**subjects)[:, None] >> np.arange(subjects)) & 1
    else:
        swapped = rng.integers(2, size=(PERMUTATIONS, subjects))
    swapped = swapped.T.astype(float)
    gap = _gap(arm, reference, swapped)
    observed = _gap(arm, reference, np.zeros((subjects, 1)))[0]
    extreme = int(np.count_nonzero(~(np.abs(gap) < abs(observed) - _SAME)))
    count = swapped.shape[1]
    return (extreme / count if exact else (1 + extreme) / (1 + count)), count


def _gap(arm: np.ndarray, reference: np.ndarray, swapped: np.ndarray) -> np.ndarray:
    """Return the Dice of arm minus that of reference for (P, n) exchanges, 1 where a subject's results change sides: (n,)."""
    kept = 1 - swapped
    return dice(by_feature(arm @ kept + reference @ swapped)) - dice(by_feature(reference @ kept + arm @ swapped))
