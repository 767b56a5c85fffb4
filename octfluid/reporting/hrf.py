"""The source domain: how well networks trained on HRF photographs outline vessels, beside the model zoo's."""

import statistics
from collections.abc import Sequence
from typing import Any

from octfluid.records.runs import DECIMALS, Run, check_comparable, conditions_of, less_exact, summarise
from octfluid.records.starts import FULL, thousands
from octfluid.reporting import markdown as md
from octfluid.reporting.difference import points
from octfluid.reporting.markdown import PENDING, percent, percent_spread
from octfluid.reporting.published import fraction, read_published

SPLIT = 'usual'
FIGURE = 'loss_hrf.png'
# A shorter run is the beginning of the full one, because its learning rate falls as if it went on.
_MAY_CHANGE = {'train_cfg.max_iters'}
_SCORES = {'Dice': 'vessel Dice', 'mDice': 'mDice'}


def zoo_heads() -> dict[str, dict[str, Any]]:
    """Return the zoo's scores by config stem: ``title`` of the head, ``Dice`` of the vessels and ``mDice`` (fractions)."""
    return {
        line['head']: {'title': line['title'], **{name: fraction(line[name]) for name in _SCORES}}
        for line in read_published('zoo_hrf.csv')
    }


def trained_iterations(run: Run) -> int | None:
    """Return after how many iterations the scored weights are; None if neither the record nor the file's name tells."""
    # A test of published weights records 0: it has trained nothing.
    return run.record['iterations'] or (run.source_iterations if run.source != 'scratch' else None)


def _whose(run: Run) -> str:
    return 'zoo' if run.source == 'hrf-zoo' else 'ours'


def why_not(run: Run) -> str | None:
    """Return why a run of a config in ``configs/hrf`` does not count, or None if it does."""
    record = run.record
    if run.config_stem not in zoo_heads():
        return 'its config is none of the three heads'
    if record['split'] != SPLIT:
        return f'split {record["split"]}; the table takes the split {SPLIT}'
    if record['variant'] not in ('', record['precision']):  # scoring in 16 bits is no other experiment
        return f'variant {record["variant"]}'
    if changed := [key for key in run.changed if key not in _MAY_CHANGE]:
        return 'overrides ' + ', '.join(changed)
    if run.source == 'other' or (record['iterations'] and record['init']):
        return f'initial weights of another origin ({record["init"]["name"]})'
    if trained_iterations(run) is None:
        return 'after how many iterations its weights are is unknown'
    return None


def select(runs: Sequence[Run]) -> tuple[list[Run], list[list[str]]]:
    """Choose the runs that count: all trainings, and the tests that say something new.

    Args:
        runs: Unique runs of configs in ``configs/hrf``.

    Returns:
        (runs, label and reason of every other run).
    """
    used, not_used = [], []
    fitting = [run for run in runs if why_not(run) is None]
    for run in runs:
        rivals = [other for other in fitting if other.config_stem == run.config_stem]
        reason = why_not(run)
        if reason is None and run.record['kind'] == 'test':
            reason = _nothing_new(run, rivals)
        if reason is None:
            used.append(run)
        else:
            not_used.append([run.label, reason])
    return used, sorted(not_used)


def _nothing_new(run: Run, rivals: Sequence[Run]) -> str | None:
    """Say why a test is left out beside the trainings and the other tests of its head, or None if it is not.

    A record does not tell which training of ours published weights come from; that all their counts agree does.
    """
    trained = (_whose(run), trained_iterations(run))
    for other in (rival for rival in rivals if rival.record['kind'] == 'train'):
        same_file = other.record['checkpoint_sha256'] == run.record['checkpoint_sha256']
        same_length = (_whose(other), trained_iterations(other)) == trained
        if same_file or (same_length and other.record['images'] == run.record['images']):
            return 'a test of weights that a training run scored already'
    return less_exact(run, [other for other in rivals if other.record['kind'] == 'test'])


def _group_key(run: Run) -> tuple:
    """Trainings are grouped over their seeds; each test stands by itself, told apart by the digest of its weights."""
    digest = run.record['checkpoint_sha256'] if run.record['kind'] == 'test' else ''
    return list(zoo_heads()).index(run.config_stem), run.config_stem, _whose(run), trained_iterations(run), digest


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect every number of the table.

    Args:
        runs: Unique runs of configs in ``configs/hrf``.

    Returns:
        ``zoo`` (see `zoo_heads`), ``groups`` (one mapping for each head, owner of the weights and number of iterations, in this
        order, and for each tested file of weights: ``head``, ``whose`` (``ours`` or ``zoo``), ``iterations``, ``tested``
        (SHA-256 of the weights, None for trainings), ``wall_seconds`` (mean over trainings, None for a test), ``difference``
        (name of the score -> our mean minus the zoo's, a fraction) and the summary over seeds), ``images`` (scored photographs,
        None without runs), ``devices``, ``precisions``, ``not_used``.

    Raises:
        InputError: Runs differ in what they were scored on, or in more than the seed within a group.
    """
    used, not_used = select(runs)
    check_comparable(used)
    groups: dict[tuple, list[Run]] = {}
    for run in sorted(used, key=_group_key):
        groups.setdefault(_group_key(run)[1:], []).append(run)
    return {
        'zoo': zoo_heads(),
        'groups': [_group(*key, members) for key, members in groups.items()],
        'images': len(used[0].record['images']) if used else None,
        **conditions_of(used),
        'not_used': not_used,
    }


def _group(head: str, whose: str, iterations: int, digest: str, runs: Sequence[Run]) -> dict[str, Any]:
    summary, zoo = summarise(runs), zoo_heads()[head]
    gaps = {name: None if summary[name]['mean'] is None else summary[name]['mean'] - zoo[name] for name in _SCORES}
    return {
        'head': head,
        'whose': whose,
        'iterations': iterations,
        'tested': digest or None,
        'wall_seconds': None if digest else round(statistics.fmean(run.record['wall_seconds'] for run in runs), 3),
        'difference': {name: None if gap is None else round(gap, DECIMALS) for name, gap in gaps.items()},
        **summary,
    }


def _line(zoo: dict[str, Any], group: dict[str, Any]) -> list[str]:
    scores = [
        text
        for name in _SCORES
        for text in (percent(zoo[name]), percent_spread(group[name]), points(group['difference'][name]))
    ]
    whose = group['whose'] + (f', `{group["tested"][:8]}`' if group['tested'] else '')
    seeds = '-' if group['tested'] else ', '.join(map(str, group['seeds'])) + md.mark(group)
    time = md.duration(group['wall_seconds'])
    where = [', '.join(group['devices']), ', '.join(group['precisions'])]
    return [zoo['title'], whose, thousands(group['iterations']), *scores, seeds, time, *where]


def _pending_line(zoo: dict[str, Any]) -> list[str]:
    scores = [text for name in _SCORES for text in (percent(zoo[name]), PENDING, '-')]
    return [zoo['title'], 'ours', thousands(FULL), *scores, '-', '-', '-', '-']


def render(content: dict[str, Any], figures: Sequence[str] = ()) -> str:
    """Return ``hrf.md`` from the output of `build` and the names of the figures that there are."""
    columns = [f'{title}, {what}' for title in _SCORES.values() for what in ('zoo states', 'here', 'difference')]
    header = ['head', 'weights', 'iterations', *columns, 'seeds', 'wall time', 'device', 'precision']
    lines = []
    for head, zoo in content['zoo'].items():
        groups = [group for group in content['groups'] if group['head'] == head]
        lines += [_line(zoo, group) for group in groups]
        if not any((group['whose'], group['iterations']) == ('ours', FULL) for group in groups):
            lines.append(_pending_line(zoo))
    text = f'# The source domain: vessels in HRF photographs\n\n{md.WRITTEN_BY}\n\n{md.table(header, lines)}\n'
    if FIGURE in figures:
        text += '## Loss\n\n' + md.figure(
            FIGURE,
            'Training loss on HRF vessels, every ten iterations the mean of the last ten (thin), and the running median of '
            '25 such values (thick).',
        )
    photographs = f'{content["images"]} photographs' if content['images'] else 'the photographs'
    notes = [
        f'Scores are percent, pooled over all pixels of {photographs} of the usual validation half that have masks here; mean '
        '± sample standard deviation over the seeds, without SD for one. Differences are in points.',
        'The zoo states its scores for 30 validation photographs, so a part of a difference may lie in which ones are '
        'scored. Lines with weights "zoo" are its files, scored here.',
        'Lines with digits are tests of the file of weights whose SHA-256 begins with them; all others are trainings.',
        'Fewer iterations are the beginning of the full training: the learning rate falls as if it went on.',
        f'"{PENDING}" means that no complete run is recorded. Wall time is that of the training, scoring included.',
    ]
    text += '## How to read it\n\n' + md.bullets(notes + md.conditions_notes(content) + md.mixed_notes(text))
    return text + md.not_used_section(content['not_used'])
