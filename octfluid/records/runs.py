"""Groups of run records: which runs are the same, which can be averaged, and mean and spread over seeds."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from octfluid.metrics.confusion import DECIMALS, pooled_metrics, predict_nothing, rounded
from octfluid.records.provenance import Start
from octfluid.records.schema import metric_classes
from octfluid.utils.errors import InputError

__all__ = [
    'DECIMALS', 'Run', 'background_everywhere', 'check_averageable', 'check_comparable', 'check_one_start', 'conditions_of',
    'less_exact', 'mixed', 'summarise', 'unique_runs', 'weights_of', 'why_not',
]  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One validated run record with what tables need of it.

    Attributes:
        path: Where the record was read; used in error messages only, so that results do not depend on places.
        label: The record's published name, ``<table>/<config stem>/<file name>``.
        table: ``table1``, ``table2``, ``ablations``, ``hrf``, ``external`` or ``recipes``.
        source: ``hrf-own``, ``hrf-zoo``, ``other`` or ``scratch``.
        source_iterations: Iterations that the initial weights had been trained for, None if unknown, 0 from scratch.
        foreground: Name of the positive class; of more than one, ``IRF+SRF``.
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
        """Pooled fractions computed again from the counts; ``Dice`` and ``IoU`` are of any class but background."""
        return _scores(self, self.record['images'])


def _scores(run: Run, images: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    means, foreground = pooled_metrics(images, metric_classes(run.record)), pooled_metrics(images)
    return {
        'mIoU': means['mIoU'],
        'mDice': means['mDice'],
        'Dice': foreground['Dice.fluid'],
        'IoU': foreground['IoU.fluid'],
    }


def background_everywhere(run: Run) -> dict[str, float | None]:
    """Return the scores that calling every pixel background would have on a run's images: fractions, rounded."""
    scores = _scores(run, predict_nothing(run.record['images']))
    return {name: rounded(value) for name, value in scores.items()}


def _identity(run: Run) -> tuple:
    record = run.record
    keys = ('kind', 'config', 'config_sha256', 'split', 'seed', 'variant')
    checkpoint = record['checkpoint_sha256'] if record['kind'] == 'test' else ''
    return (*(record[key] for key in keys), run.source, run.init_sha256, checkpoint)


def unique_runs(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Separate the runs from their repetitions.

    Returns:
        (one record a run, further records of those runs), both sorted by label. Two records are of the same run when kind,
        config, split, initial weights, seed and variant agree (and, for tests, the checkpoint).

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
    """Refuse (InputError) runs that were scored on different files."""
    for run in runs[1:]:
        if run.record['split_sha256'] != runs[0].record['split_sha256']:
            raise InputError(
                f'{runs[0].path} and {run.path} were scored on different images or masks (split_sha256 differs) '
                'and cannot stand in one table; repeat one of them'
            )


def check_averageable(runs: Sequence[Run]) -> None:
    """Refuse (InputError) runs that differ in config, initial weights or scored files, and runs with the same seed."""
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
    """Refuse (InputError) runs that began with different weights."""
    for run in runs[1:]:
        if run.init_sha256 != runs[0].init_sha256:
            raise InputError(
                f'{runs[0].path} and {run.path} started from different initial weights of one origin and length and cannot '
                'stand in one section; remove one of them'
            )


def why_not(run: Run, iterations: int, split: str = 'paper') -> str | None:
    """Return why a run is not the training that its config describes (``iterations``, the table's ``split``), or None."""
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
    """Return why a test in 16 bits does not count (``runs`` have a more exact one of the same weights), or None if it does."""
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
    """Return in what the runs behind summaries differ, apart from their seeds: ``device``, ``precision``, both or nothing."""
    kinds = {'device': 'devices', 'precision': 'precisions'}
    return [what for what, key in kinds.items() if len({name for summary in summaries for name in summary[key]}) > 1]


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the scores of runs that differ in their seeds, and otherwise at most in device and precision.

    Returns:
        ``n``, ``seeds``, ``devices`` and ``precisions``, and for each of mIoU, mDice, Dice, IoU a mapping of ``mean``, ``sd``
        (n - 1; None for one run) and ``values`` in the order of the seeds: fractions rounded to `DECIMALS`. Mean and SD are
        None where a run's score is undefined.

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
