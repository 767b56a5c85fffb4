"""Run records as the tables see them: which runs are the same, which may be averaged, and mean and spread over seeds."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from octfluid.metrics.confusion import pooled_metrics, predict_nothing
from octfluid.records.starts import Start
from octfluid.utils.errors import InputError

DECIMALS = 8
"""Digits kept in ``results.json``: beyond any meaning, short of the last bits in which two machines may differ."""


@dataclass(frozen=True)
class Run:
    """One validated run record with what tables need beside it.

    Attributes:
        path: Where the record was read; used in error messages only, so that results do not depend on places.
        label: The record's published name, ``<table>/<config stem>/<file name>``.
        table: ``table1``, ``table2``, ``ablations``, ``hrf``, ``external`` or ``recipes``.
        source: ``hrf-own``, ``hrf-zoo``, ``other`` or ``scratch``.
        source_iterations: Iterations that the initial weights had been trained for, None if unknown, 0 from scratch.
        foreground: Name of the positive class.
        changed: Overridden config keys that change the result, sorted.
        speed: Overridden config keys that change no result but the time it takes, with their values (``key=value``), sorted.
        record: The record itself.
    """

    path: Path
    label: str
    table: str
    source: str
    source_iterations: int | None
    foreground: str
    changed: tuple[str, ...]
    speed: tuple[str, ...]
    record: Mapping[str, Any]

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
        """Pooled fractions recomputed from the counts; the foreground's are called ``Dice`` and ``IoU``."""
        return _named(pooled_metrics(self.record['images'], ('background', self.foreground)), self.foreground)


def _named(metrics: Mapping[str, float | None], foreground: str) -> dict[str, float | None]:
    return {
        'mIoU': metrics['mIoU'],
        'mDice': metrics['mDice'],
        'Dice': metrics[f'Dice.{foreground}'],
        'IoU': metrics[f'IoU.{foreground}'],
    }


def background_everywhere(run: Run) -> dict[str, float | None]:
    """Return the scores that calling every pixel background would have on a run's images: fractions, rounded."""
    metrics = pooled_metrics(predict_nothing(run.record['images']), ('background', run.foreground))
    scores = _named(metrics, run.foreground)
    return {name: None if value is None else round(value, DECIMALS) for name, value in scores.items()}


def _identity(run: Run) -> tuple:
    record = run.record
    checkpoint = record['checkpoint_sha256'] if record['kind'] == 'test' else ''
    return (
        record['kind'],
        record['config'],
        record['config_sha256'],
        record['split'],
        run.source,
        run.init_sha256 or '',
        record['seed'],
        record['variant'],
        checkpoint,
    )


def unique_runs(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Separate the runs from their repetitions.

    Two records are of the same run when kind, config, split, initial weights, seed and variant agree (and, for tests, the
    checkpoint).

    Returns:
        (one record a run, further records of those runs), both sorted by label.

    Raises:
        InputError: Two records of the same run report different scores.
    """
    first: dict[tuple, Run] = {}
    repeated = []
    for run in sorted(runs, key=lambda run: (run.label, run.path.as_posix())):
        known = first.setdefault(_identity(run), run)
        if known is run:
            continue
        if known.scores != run.scores:
            raise InputError(
                f'{known.path} and {run.path} record the same run (config, split, initial weights, seed and '
                'variant agree) with different scores; remove the one that is wrong'
            )
        repeated.append(run)
    return list(first.values()), repeated


def check_comparable(runs: Sequence[Run]) -> None:
    """Check that runs were scored on the same files.

    Raises:
        InputError: Naming two records whose images or masks differ.
    """
    for run in runs[1:]:
        if run.record['split_sha256'] != runs[0].record['split_sha256']:
            raise InputError(
                f'{runs[0].path} and {run.path} were scored on different images or masks (split_sha256 differs) '
                'and cannot stand in one table; repeat one of them'
            )


def check_averageable(runs: Sequence[Run]) -> None:
    """Check that runs differ in their seeds, and in nothing else but device and precision, which summaries show.

    Raises:
        InputError: Naming two records whose config, initial weights or scored files differ, or whose seeds agree.
    """
    check_comparable(runs)
    by_seed: dict[int, Run] = {}
    for run in runs:
        for what, differs in (
            ('versions of the config', run.record['config_sha256'] != runs[0].record['config_sha256']),
            ('initial weights', run.init_sha256 != runs[0].init_sha256),
        ):
            if differs:
                raise InputError(
                    f'{runs[0].path} and {run.path} were run with different {what} and cannot be averaged; remove one of them'
                )
        known = by_seed.setdefault(run.record['seed'], run)
        if known is not run:
            raise InputError(f'{known.path} and {run.path} are of one seed and would count twice; remove one of them')


def check_one_start(runs: Sequence[Run]) -> None:
    """Check that runs began with the very same weights.

    Raises:
        InputError: Naming two records whose initial weights differ.
    """
    for run in runs[1:]:
        if run.init_sha256 != runs[0].init_sha256:
            raise InputError(
                f'{runs[0].path} and {run.path} started from different initial weights of one origin and length and cannot '
                'stand in one section; remove one of them'
            )


def why_not(run: Run, iterations: int, split: str = 'paper') -> str | None:
    """Return why a run does not count as the training that its config describes, or None if it does.

    Args:
        run: The run.
        iterations: Of the whole training.
        split: The split that the table is about.
    """
    record = run.record
    if record['kind'] != 'train':
        return 'a test; the table takes training runs'
    if record['split'] != split:
        return f'split {record["split"]}; the table takes the split {split}'
    if record['variant']:
        return f'variant {record["variant"]}'
    if record['iterations'] != iterations:
        return f'{record["iterations"]} of {iterations} iterations'
    if run.changed:
        return 'overrides ' + ', '.join(run.changed)
    if run.source == 'other':
        return f'initial weights of another origin ({record["init"]["name"]})'
    return None


def less_exact(run: Run, runs: Iterable[Run]) -> str | None:
    """Return why a test in 16 bits does not count beside a more exact one of the same weights, or None if it does.

    Args:
        run: A test.
        runs: Tests of the same config and split, of any weights.
    """
    exact = ('fp32', 'fp16', 'bf16')
    precision = run.record['precision']
    same = (other.record for other in runs if other.record['checkpoint_sha256'] == run.record['checkpoint_sha256'])
    best = min((record['precision'] for record in same), key=exact.index, default=precision)
    return None if exact.index(precision) <= exact.index(best) else f'scored in {precision}, and there is a test in {best}'


def weights_of(runs: Iterable[Run]) -> list[dict[str, str]]:
    """Return ``name`` and ``sha256`` of the initial weights of runs, each once, by name."""
    found = {(run.record['init']['name'], run.record['init']['sha256']) for run in runs if run.record['init']}
    return [{'name': name, 'sha256': digest} for name, digest in sorted(found)]


def conditions_of(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """Return ``devices`` and ``precisions``: names and numbers of runs."""
    return {
        'devices': dict(sorted(Counter(run.record['device'] for run in runs).items())),
        'precisions': dict(sorted(Counter(run.record['precision'] for run in runs).items())),
    }


def mixed(*summaries: Mapping[str, Any]) -> list[str]:
    """Return in what the runs behind summaries differ beside their seeds: ``device``, ``precision``, both or nothing."""
    kinds = {'device': 'devices', 'precision': 'precisions'}
    return [what for what, key in kinds.items() if len({name for summary in summaries for name in summary[key]}) > 1]


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the scores of runs that differ in their seeds, and at most in device and precision beside.

    Args:
        runs: At least one run; see `check_averageable`.

    Returns:
        ``n``, ``seeds``, ``devices`` and ``precisions`` (see `conditions_of` and `mixed`), and for each of mIoU, mDice, Dice,
        IoU a mapping of ``mean``, ``sd`` and ``values`` (in the order of the seeds): fractions rounded to `DECIMALS`. ``sd`` is
        the sample standard deviation (n - 1), None for one run. Mean and SD are None where a run's score is undefined.
    """
    check_averageable(runs)
    runs = sorted(runs, key=lambda run: run.record['seed'])
    summary: dict[str, Any] = {'n': len(runs), 'seeds': [run.record['seed'] for run in runs], **conditions_of(runs)}
    scores = [run.scores for run in runs]
    for name in scores[0]:
        values = [score[name] for score in scores]
        defined = None not in values
        summary[name] = {
            'mean': round(statistics.fmean(values), DECIMALS) if defined else None,
            'sd': round(statistics.stdev(values), DECIMALS) if defined and len(values) > 1 else None,
            'values': [None if value is None else round(value, DECIMALS) for value in values],
        }
    return summary
