"""What an exported model's file and card say of how good it is, from the run records of its cross-validated twins."""

from collections.abc import Sequence
from typing import Any

from octfluid.records.runs import Run, unique_runs
from octfluid.reporting import estimates
from octfluid.reporting.recipe_steps import is_inner
from octfluid.utils.errors import InputError

SHOWN = ('dice', 'mdice', 'miou', 'image_dice')
"""Measures that are given."""


def scores_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Collect the scores of a model's twins: trained by the same config, each scored on what it was not trained on.

    Args:
        runs: Runs in any order. Left out are those without images, those on inner splits, and tests of weights that may have
            seen the scored scans.

    Returns:
        One mapping for each group of `octfluid.reporting.estimates.build` of which no fold is missing: ``config``,
        ``protocol``, ``variant``, ``iterations``, ``seeds`` (their number), ``images``, ``subjects``, ``size`` (of the ground
        truth, [height, width] in pixels), ``patients_seen`` (whether the scored patients have other scans in the training), and
        ``measures``: for each of `SHOWN` its ``value`` and ``interval``, as fractions.

    Raises:
        InputError: There is no such group.
    """
    kept = unique_runs([run for run in runs if run.record['images'] and not is_inner(run) and _is_of_training(run)])[0]
    groups = [group for group in estimates.build(kept) if group['measures']]
    if not groups:
        raise InputError('records: no complete protocol among them; expected the records of the cross-validated twins')
    return [
        {
            **{key: group[key] for key in ('config', 'protocol', 'variant', 'iterations', 'images', 'subjects', 'size')},
            'seeds': len(group['seeds']),
            'patients_seen': group['shared_subjects'],
            'measures': {
                name: {key: group['measures'][name][key] for key in ('value', 'interval')} for name in SHOWN
            },
        }
        for group in groups
    ]  # fmt: skip


def _is_of_training(run: Run) -> bool:
    """Tell whether a run scored what its network was kept from in training."""
    return 'trained-on-' not in run.record['variant'] and run.record['iterations'] > 0
