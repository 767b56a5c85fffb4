"""The paper's table 1: networks trained on vessels, applied unchanged to B-scans; and how well they outline vessels."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.metrics.confusion import pooled_metrics, predict_nothing, rounded
from octfluid.records.provenance import Start
from octfluid.records.runs import Run, check_averageable, check_same, conditions_of, grouped, select_runs, summarise, weights_of
from octfluid.reporting.published import fraction, read_published

SPLITS = {'all': 'All graded scans', 'paper': "A subset: the validation scans of the paper's split"}
HRF_SPLIT = 'usual'
_HRF_SCORES = ('Dice', 'mDice')


def mean_image_iou(images: Sequence[Mapping[str, Any]], only_with_foreground: bool = False) -> float | None:
    """Return the mean over images of the foreground's IoU, TP / (TP + FP + FN), a fraction; None without images.

    An image whose union is empty counts as 0, and so an image without foreground does whatever is predicted. This is the
    measure of the paper's table 1, there called mIoU. ``only_with_foreground`` leaves out images without a foreground pixel.
    """
    counted = [image for image in images if image['tp'] + image['fn'] or not only_with_foreground]
    scores = [image['tp'] / max(image['tp'] + image['fp'] + image['fn'], 1) for image in counted]
    return statistics.fmean(scores) if scores else None


def scores_of(images: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return every score of the table.

    Args:
        images: Mappings with ``tp``, ``fp``, ``fn``, ``tn`` (pixels), where positive means fluid.

    Returns:
        Rounded fractions: ``measure`` (the paper's), ``with_fluid`` (the same mean over the images that hold fluid),
        ``predicted`` (share of images with any pixel called fluid), and the output of `pooled_metrics`.
    """
    scores = {
        'measure': mean_image_iou(images),
        'with_fluid': mean_image_iou(images, only_with_foreground=True),
        'predicted': statistics.fmean(image['tp'] + image['fp'] > 0 for image in images),
        **pooled_metrics(images),
    }
    return {name: rounded(value) for name, value in scores.items()}


def paper_heads() -> dict[str, dict[str, Any]]:
    """Return the paper's lines by config stem: ``title`` of the head and ``measure`` (a fraction)."""
    lines = read_published('paper_table1.csv')
    return {line['head']: {'title': line['title'], 'measure': float(line['measure'])} for line in lines}


def zoo_heads() -> dict[str, dict[str, Any]]:
    """Return the model zoo's scores by config stem: ``title`` of the head, vessel ``Dice`` and ``mDice`` (fractions)."""
    lines = read_published('zoo_hrf.csv')
    return {line['head']: {'title': line['title'], **{key: fraction(line[key]) for key in _HRF_SCORES}} for line in lines}


def _why_not(run: Run, splits: Sequence[str], may_change: Sequence[str] = ()) -> str | None:
    record, changed = run.record, [key for key in run.changed if key not in may_change]
    if run.config_stem not in paper_heads():
        return 'its config is not one of the three heads'
    if record['split'] not in splits:
        return f'split {record["split"]}; the table takes {" and ".join(splits)}'
    # A score in 16 bits counts; its row names the precision.
    if record['variant'] not in ('', record['precision']):
        return f'variant {record["variant"]}'
    return 'overrides ' + ', '.join(changed) if changed else None


def _scan_why_not(run: Run) -> str | None:
    if run.record['kind'] != 'test':
        return 'a training; the table takes tests'
    if run.source not in ('hrf-own', 'hrf-zoo') or run.record['iterations']:
        return 'not published vessel weights as they are; publish a checkpoint with tools/publish_checkpoint.py first'
    return _why_not(run, tuple(SPLITS))


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect every number of the table.

    Returns:
        ``paper`` (see `paper_heads`), ``sections`` (a list of the splits and initial weights with runs, all scans before the
        subset: ``split``, ``start`` (`Start.key`), ``images`` and ``with_fluid`` (numbers of scans), ``heads`` (config stem
        -> a list with, for each file of weights, its ``sha256``, the scores, ``precision`` and ``record``), ``background``
        (scores of calling every pixel background), ``weights``), ``devices``, ``precisions``, ``not_used``.

    Raises:
        InputError: Runs of one split were scored on different files, or weights have two tests.
    """
    used, not_used = select_runs(runs, _scan_why_not)
    sections = []
    for split in SPLITS:
        members = [run for run in used if run.record['split'] == split]
        check_same(members, 'images')
        sections += [_section_of(split, start, mine) for start, mine in grouped(members, lambda run: run.start).items()]
    return {'paper': paper_heads(), 'sections': sections, **conditions_of(used), 'not_used': not_used}


def _section_of(split: str, start: Start, runs: Sequence[Run]) -> dict[str, Any]:
    order, heads = list(paper_heads()), {}
    for (place, digest), same in grouped(runs, lambda run: (order.index(run.config_stem), run.init_sha256)).items():
        check_averageable(same)
        record = same[0].record
        scores = {'sha256': digest, **scores_of(record['images']), 'precision': record['precision'], 'record': same[0].label}
        heads.setdefault(order[place], []).append(scores)
    images = runs[0].record['images']
    return {
        'split': split,
        'start': start.key,
        'images': len(images),
        'with_fluid': sum(image['tp'] + image['fn'] > 0 for image in images),
        'heads': heads,
        'background': scores_of(predict_nothing(images)),
        'weights': weights_of(runs),
    }


def _hrf_why_not(run: Run) -> str | None:
    record = run.record
    if record['kind'] == 'test' and run.source != 'hrf-zoo':
        return "a test; the table takes trainings, and tests of the zoo's weights"
    if record['kind'] != 'test' and record['init']:
        return f'initial weights of another origin ({record["init"]["name"]})'
    # A shorter run is the beginning of the full one, because its learning rate falls as if it went on.
    return _why_not(run, (HRF_SPLIT,), may_change=('train_cfg.max_iters',))


def select_hrf(runs: Sequence[Run]) -> tuple[list[Run], list[list[str]]]:
    """Return the runs on vessels that count (trainings, and tests of the zoo's weights), label and reason of every other."""
    return select_runs(runs, _hrf_why_not)


def build_hrf(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect the scores on vessels.

    Returns:
        ``zoo`` (see `zoo_heads`), ``groups`` (for each head, owner of the weights and number of iterations ``head``, ``whose``
        (``ours``: trainings; ``zoo``: tests), ``iterations``, ``wall_seconds`` (mean over trainings, None for tests),
        ``difference`` (our mean minus the zoo's by score, fractions) and the summary over seeds), ``images`` (scored
        photographs, None without runs), ``devices``, ``precisions``, ``not_used``.

    Raises:
        InputError: Runs differ in what they were scored on, or in more than the seed within a group.
    """
    used, not_used = select_hrf(runs)
    check_same(used, 'images')
    heads = list(zoo_heads())

    def key(run: Run) -> tuple:
        place = heads.index(run.config_stem)
        return (place, 'zoo', run.source_iterations) if run.source == 'hrf-zoo' else (place, 'ours', run.record['iterations'])

    return {
        'zoo': zoo_heads(),
        'groups': [_hrf_group(heads[place], *rest, mine) for (place, *rest), mine in grouped(used, key).items()],
        'images': len(used[0].record['images']) if used else None,
        **conditions_of(used),
        'not_used': not_used,
    }


def _hrf_group(head: str, whose: str, iterations: int, runs: Sequence[Run]) -> dict[str, Any]:
    summary, published = summarise(runs), zoo_heads()[head]
    means = {name: summary[name]['mean'] for name in _HRF_SCORES}
    return {
        'head': head,
        'whose': whose,
        'iterations': iterations,
        'wall_seconds': None if whose == 'zoo' else round(statistics.fmean(run.record['wall_seconds'] for run in runs), 3),
        'difference': {name: None if mean is None else rounded(mean - published[name]) for name, mean in means.items()},
        **summary,
    }
