"""The card of an exported model, from its metadata: purpose, training data, scores and limits."""

from collections.abc import Sequence
from typing import Any

from octfluid.inference.model import ModelInfo
from octfluid.records.runs import Run, unique_runs
from octfluid.reporting import estimates, folds
from octfluid.reporting.pages import templates
from octfluid.utils.errors import InputError

MEASURES = {'dice': 'fluid Dice %', 'mdice': 'mDice %', 'miou': 'mIoU %', 'image_dice': 'fluid Dice, mean of images %'}
"""Measures that a card gives, and the heads of their columns."""


def scores_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the scores for a model's card: of networks of the same config, scored on images outside their training.

    Left out are runs without images, those on inner splits, and tests of weights that may have seen the scored scans.

    Returns:
        One mapping for each group with all its folds: ``config``, ``protocol``, ``variant``, ``iterations``, ``seeds`` (their
        number), ``images``, ``subjects``, ``size``, ``patients_seen`` (whether the scored patients have other scans in the
        training), and ``measures``: ``value`` and ``interval`` (fractions) of each of `MEASURES`.

    Raises:
        InputError: There is no such group.
    """
    kept = [
        run for run in runs
        if run.record['images'] and not folds.is_inner(run) and not run.changed
        and folds.TRAINED_ON not in run.record['variant'] and run.record['iterations'] > 0
    ]  # fmt: skip
    groups = [group for group in estimates.build(unique_runs(kept)[0]) if group['measures']]
    if not groups:
        raise InputError('records: they do not include all folds of any protocol; add the missing folds')
    same = ('config', 'protocol', 'variant', 'iterations', 'images', 'subjects', 'size')
    return [
        {
            **{key: group[key] for key in same},
            'seeds': len(group['seeds']),
            'patients_seen': group['shared_subjects'],
            'measures': {name: {key: group['measures'][name][key] for key in ('value', 'interval')} for name in MEASURES},
        }
        for group in groups
    ]


def describe_training(split: str | None, config: str, iterations: int | None, seed: int | None, patients: str = '') -> str:
    """Return what a model's weights come from, for its card, in words; None or '' is what the weights do not say."""
    scans = {None: 'unknown scans', 'all': 'all scans of the data set (split `all`)'}
    parts = [scans.get(split, f'the training scans of split `{split}`'), *filter(None, [patients]), f'with `{config}`']
    parts += [] if iterations is None else [f'{iterations} iterations']
    parts += [] if seed is None else [f'seed {seed}']
    return ', '.join(parts)


def render_card(info: ModelInfo, name: str, trained_on: str) -> str:
    """Return the card as Markdown.

    Args:
        info: What the model's file says.
        name: File name of the model.
        trained_on: What its weights were trained on, from `describe_training`.
    """
    return templates().get_template('card.md.j2').render(info=info, name=name, trained_on=trained_on, measures=MEASURES)
