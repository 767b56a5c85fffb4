"""Groups of run records: which runs count, which are the same, which can be averaged, and mean and spread over seeds."""

import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from octfluid.metrics.confusion import pooled_metrics, rounded
from octfluid.records.fingerprint import flatten
from octfluid.records.provenance import Start
from octfluid.records.schema import metric_classes
from octfluid.utils.errors import InputError


@dataclass(frozen=True)
class Run:
    """One validated run record with what tables need of it."""

    path: Path  # for messages only, so that results do not depend on places
    label: str  # <table>/<config stem>/<file name>, as it is published
    table: str  # table1, table2, ablations, hrf, external or recipes
    source: str  # hrf-own, hrf-zoo, other or scratch
    source_iterations: int | None  # of the initial weights' own training; None if unknown, 0 from scratch
    foreground: str  # the positive class; of more than one, IRF+SRF
    changed: tuple[str, ...]  # overridden config keys that change the result, sorted
    speed: tuple[str, ...]  # key=value of those that only change how long it takes, sorted
    record: Mapping[str, Any]

    @property
    def overrides(self) -> str:
        """The overrides that change the result, ``key=value``; '' without any."""
        values = dict(flatten(self.record['overrides']))
        return ', '.join(f'{key}={json.dumps(values[key])}' for key in self.changed)

    @property
    def config_stem(self) -> str:
        """File name of the config without its suffix."""
        return PurePosixPath(self.record['config']).stem

    @property
    def start(self) -> Start:
        """Origin and length of training of the initial weights."""
        return Start(self.source, self.source_iterations)

    @property
    def init_sha256(self) -> str | None:
        """SHA-256 of the initial weights, None for training from scratch."""
        return self.record['init']['sha256'] if self.record['init'] else None

    @property
    def scores(self) -> dict[str, float | None]:
        """Pooled fractions computed again from the counts; ``Dice`` and ``IoU`` are of any class but background."""
        images = self.record['images']
        means, foreground = pooled_metrics(images, metric_classes(self.record)), pooled_metrics(images)
        found = {name: means[name] for name in ('mIoU', 'mDice')}
        return found | {name: foreground[f'{name}.fluid'] for name in ('Dice', 'IoU')}


def _identity(run: Run) -> tuple:
    record = run.record
    keys = ('kind', 'config', 'config_sha256', 'split', 'seed', 'variant')
    checkpoint = record['checkpoint_sha256'] if record['kind'] == 'test' else ''
    return (*(record[key] for key in keys), run.source, run.init_sha256, checkpoint)


def unique_runs(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Return one record a run, and further records of those runs, both sorted by label.

    Two records are of the same run when kind, config, split, initial weights, seed and variant agree (and, for tests, the
    checkpoint). An InputError names two of the same run with different scores.
    """
    first: dict[tuple, Run] = {}
    repeated = []
    for run in sorted(runs, key=lambda run: (run.label, run.path.as_posix())):
        known = first.setdefault(_identity(run), run)
        if known is run:
            continue
        if known.scores != run.scores:
            same = f'{known.path} and {run.path} record the same run (config, split, seed, ...)'
            raise InputError(f'{same} with different scores; remove the one that is wrong')
        repeated.append(run)
    return list(first.values()), repeated


_DIFFERING = {
    'images': (lambda run: run.record['split_sha256'], 'were scored on different images or masks (split_sha256)'),
    'config': (lambda run: run.record['config_sha256'], 'were run with different versions of the config'),
    'weights': (lambda run: run.init_sha256, 'were run with different initial weights'),
}


def check_same(runs: Sequence[Run], *what: str) -> None:
    """Refuse (InputError) runs that differ in their scored ``images``, their ``config`` or their initial ``weights``."""
    for of, differing in map(_DIFFERING.__getitem__, what):
        for run in runs[1:]:
            if of(run) != of(runs[0]):
                raise InputError(f'{runs[0].path} and {run.path} {differing} and cannot be in one table; remove one of them')


def check_averageable(runs: Sequence[Run]) -> None:
    """Refuse (InputError) runs that differ in scored images, config or initial weights, and runs with the same seed."""
    check_same(runs, 'images', 'config', 'weights')
    for same in grouped(runs, lambda run: run.record['seed']).values():
        if len(same) > 1:
            raise InputError(f'{same[0].path} and {same[1].path} have the same seed and would count twice; remove one of them')


def overridden(run: Run) -> str | None:
    """Return which overrides change the result of a run, or None."""
    return 'overrides ' + ', '.join(run.changed) if run.changed else None


def why_not(run: Run, iterations: int | None) -> str | None:
    """Return why a run is not the training of the paper's split that its config describes, or None.

    ``iterations`` are those of the config, None for a config that is not in the table.
    """
    record = run.record
    if iterations is None:
        return 'its config is not in the table'
    if record['kind'] != 'train':
        return 'a test; the table takes training runs'
    if record['split'] != 'paper':
        return f'split {record["split"]}; the table takes the split paper'
    if record['variant']:
        return f'variant {record["variant"]}'
    if record['iterations'] != iterations:
        return f'{record["iterations"]} of {iterations} iterations'
    if run.source == 'other':
        return f'initial weights of another origin ({record["init"]["name"]})'
    return overridden(run)


def select_runs(runs: Iterable[Run], reason_of: Callable[[Run], str | None]) -> tuple[list[Run], list[list[str]]]:
    """Return the runs that count, and label and reason of every other run; ``reason_of`` gives the reason or None."""
    reasons = [(run, reason_of(run)) for run in runs]
    used = [run for run, reason in reasons if reason is None]
    return used, sorted([run.label, reason] for run, reason in reasons if reason is not None)


def grouped(runs: Iterable[Run], key: Callable[[Run], Any]) -> dict[Any, list[Run]]:
    """Return the runs of each value of ``key``, ascending; runs of one value keep their order."""
    groups: dict[Any, list[Run]] = {}
    for run in sorted(runs, key=key):
        groups.setdefault(key(run), []).append(run)
    return groups


def weights_of(runs: Iterable[Run]) -> list[dict[str, str]]:
    """Return ``name`` and ``sha256`` of the initial weights of runs, each once, by name."""
    found = {(run.record['init']['name'], run.record['init']['sha256']) for run in runs if run.record['init']}
    return [{'name': name, 'sha256': digest} for name, digest in sorted(found)]


def conditions_of(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """Return ``devices`` and ``precisions``: names and numbers of runs."""
    return {f'{what}s': dict(sorted(Counter(run.record[what] for run in runs).items())) for what in ('device', 'precision')}


def mixed(*summaries: Mapping[str, Any]) -> list[str]:
    """Return in what the runs behind summaries differ, apart from their seeds: ``device``, ``precision``, both or nothing."""
    kinds = ('device', 'precision')
    return [what for what in kinds if len({name for summary in summaries for name in summary[f'{what}s']}) > 1]


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the scores of runs that differ in their seeds, and otherwise at most in device and precision.

    Returns:
        ``n``, ``seeds``, ``devices`` and ``precisions``, and for each of mIoU, mDice, Dice, IoU a mapping of ``mean``, ``sd``
        (n - 1; None for one run) and ``values`` in the order of the seeds: rounded fractions. Mean and SD are None where a
        run's score is undefined.

    Raises:
        InputError: See `check_averageable`.
    """
    check_averageable(runs)
    runs = sorted(runs, key=lambda run: run.record['seed'])
    summary: dict[str, Any] = {'n': len(runs), 'seeds': [run.record['seed'] for run in runs], **conditions_of(runs)}
    scores = [run.scores for run in runs]
    for name in scores[0]:
        values = [score[name] for score in scores]
        defined = None not in values
        summary[name] = {
            'mean': rounded(statistics.fmean(values)) if defined else None,
            'sd': rounded(statistics.stdev(values)) if defined and len(values) > 1 else None,
            'values': [rounded(value) for value in values],
        }
    return summary
