"""Scores of others, from the data files in this folder, and the choice of the runs that stand next to them."""

import csv
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from octfluid.records.provenance import Start
from octfluid.records.runs import Run, why_not


def read_published(name: str) -> list[dict[str, str]]:
    """Return the lines of a data file of this folder as mappings of column to text; lines with # are comments."""
    with open(Path(__file__).with_name(name), encoding='utf-8', newline='') as file:
        return list(csv.DictReader(line for line in file if not line.startswith('#')))


def fraction(percentage: str) -> float | None:
    """Return a percentage as a fraction, None for an empty cell."""
    return round(float(percentage) / 100, 8) if percentage else None


def select_runs(runs: Iterable[Run], why_not: Callable[[Run], str | None]) -> tuple[list[Run], list[list[str]]]:
    """Return the runs that count, and label and reason of every other run; ``why_not`` gives the reason or None."""
    reasons = [(run, why_not(run)) for run in runs]
    used = [run for run, reason in reasons if reason is None]
    return used, sorted([run.label, reason] for run, reason in reasons if reason is not None)


def select_trainings(
    runs: Iterable[Run], iterations: Callable[[Run], int | None], unknown: str
) -> tuple[list[Run], list[list[str]]]:
    """Return as `select_runs` the trainings of the paper's split that are as their configs describe.

    ``iterations`` gives those of a run's config, None if the table has no such config, which is the reason ``unknown``.
    """
    return select_runs(runs, lambda run: unknown if (number := iterations(run)) is None else why_not(run, number))


def grouped(runs: Iterable[Run], key: Callable[[Run], Any]) -> dict[Any, list[Run]]:
    """Return the runs of each value of ``key``, ascending; runs of one value keep their order."""
    groups: dict[Any, list[Run]] = {}
    for run in sorted(runs, key=key):
        groups.setdefault(key(run), []).append(run)
    return groups


def by_start(runs: Collection[Run]) -> dict[Start, list[Run]]:
    """Return the runs of each kind of initial weights, the longest source training first."""
    starts = sorted({run.start for run in runs}, key=lambda start: start.rank)
    return {start: [run for run in runs if run.start == start] for start in starts}
