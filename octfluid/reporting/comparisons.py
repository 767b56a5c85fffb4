"""Paired differences between configurations on the same images: the paper's conclusions, leakage, recipes against row 10."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from octfluid.metrics import bootstrap as uncertainty
from octfluid.records.runs import Run
from octfluid.records.starts import SCRATCH, Start
from octfluid.reporting import folds, table2
from octfluid.reporting.ablations import REFERENCE_ROW
from octfluid.reporting.claims import CLAIMS
from octfluid.reporting.estimates import group_runs, missing_folds, pooled_by_seed, scored_images

MEASURE = 'dice'
PAPER = 'paper'
LEAKAGE = 'leakage'


@dataclass(frozen=True)
class Group:
    """The runs of one configuration under one protocol; see `octfluid.reporting.estimates.group_runs`."""

    config: str
    kind: str
    protocol: str
    init: str
    iterations: int
    variant: str
    runs: tuple[Run, ...]

    @property
    def table(self) -> str:
        """The table that the runs belong to."""
        return self.runs[0].table

    @property
    def start(self) -> Start:
        """Initial weights of the runs."""
        return self.runs[0].start

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the ground truth of the first image: what is scored at other sizes is not compared."""
        image = self.runs[0].record['images'][0]
        return image['height'], image['width']

    @property
    def title(self) -> str:
        """What the group is called beside others: the row of table 2, or the config's stem, with its initial weights."""
        stem = PurePosixPath(self.config).stem
        row = table2.row_number(stem) if self.table == 'table2' else None
        name = f'row {row}' if row else stem if self.table == 'ablations' else str(PurePosixPath(self.config).with_suffix(''))
        return f'{name.removeprefix("configs/")} ({self.init}{", " + self.variant if self.variant else ""})'


def build(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Compare every pair of groups that a conclusion, the leakage or the recipes ask for.

    Args:
        runs: Unique runs of any table.

    Returns:
        One mapping a comparison: ``family``, ``title``, ``arm``, ``reference``, ``measure``, ``protocol``, ``note``, and the
        output of `octfluid.metrics.bootstrap.paired` with ``p_holm``, which is corrected over the family.

    Raises:
        InputError: Runs that would be pooled, averaged or compared do not fit together.
    """
    groups = [Group(*key, tuple(members)) for key, members in group_runs(runs).items()]
    found = [*_leakage(groups), *_conclusions(groups), *_recipes(groups)]
    for family in {item['family'] for item in found}:
        members = [item for item in found if item['family'] == family]
        for item, corrected in zip(members, uncertainty.holm([item['p'] for item in members]), strict=True):
            item['p_holm'] = corrected
    return found


def _compared(family: str, title: str, arm: Group, reference: Group, partly: bool = False) -> dict[str, Any] | None:
    """Compare two groups on the images that both have scored.

    Args:
        family: Comparisons that are corrected together.
        title: What the difference is of.
        arm: The group whose gain it is.
        reference: The group that it is compared with.
        partly: Compare on the images of the folds that there are, and say so; otherwise a missing fold withholds the figure.

    Returns:
        None when it is withheld or no image is left.
    """
    sides = [pooled_by_seed(group.runs) for group in (arm, reference)]
    missing = [name for side in sides for name in missing_folds(side)]
    names = set.intersection(*({image['name'] for pooled in side.values() for image in pooled.images} for side in sides))
    if missing and not partly:
        return None
    first, second = (scored_images(side, names) for side in sides)
    if first is None or second is None:
        return None
    kept = set(first.names) & set(second.names)
    first, second = (scored_images(side, kept) for side in sides)
    smaller = min(max(len(pooled.images) for pooled in side.values()) for side in sides)
    share = f'{len(kept)} of {smaller} images' if arm.protocol == reference.protocol else _share_of_paper(arm, len(kept))
    return {
        'family': family,
        'title': title,
        'arm': arm.title + ('' if arm.protocol == reference.protocol else f', {arm.protocol}'),
        'reference': reference.title + ('' if arm.protocol == reference.protocol else f', {reference.protocol}'),
        'measure': MEASURE,
        'protocol': arm.protocol,
        'note': f'on {share}; missing: {", ".join(missing)}' if missing else '',
        **uncertainty.paired(first, second, measure=MEASURE),
        'p_holm': None,
    }


def _share_of_paper(arm: Group, kept: int) -> str:
    return f'{kept} of the {len(arm.runs[0].record["images"])} images of split {arm.runs[0].record["split"]}'


def _leakage(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Compare training on the paper's split with leaving one subject out, both scored on the paper's images."""
    by_key = {(g.config, g.kind, g.init, g.iterations, g.variant, g.protocol): g for g in groups}
    found = []
    for group in groups:
        if group.protocol != PAPER:
            continue
        honest = by_key.get((group.config, group.kind, group.init, group.iterations, group.variant, folds.LEAVE_ONE_OUT))
        if honest:
            title = f'{group.title}: patients in the training minus patients left out'
            found.append(_compared(LEAKAGE, title, group, honest, partly=True))
    return [item for item in found if item]


def _conclusions(groups: Sequence[Group]) -> list[dict[str, Any]]:
    trainings = [g for g in groups if (g.kind, g.protocol, g.variant) == ('train', PAPER, '')]
    starts = sorted({g.start for g in trainings if g.start != SCRATCH}, key=lambda start: start.rank)
    found = []
    for start in starts:
        for claim in CLAIMS:
            arm = _side(claim.arm, start, trainings)
            reference = _side(claim.reference, SCRATCH if claim.from_scratch else start, trainings)
            if arm and reference:
                found.append(_compared(family_of(start.key), claim.text, arm, reference))
    return [item for item in found if item]


def family_of(start: str) -> str:
    """Return the name of the family of the paper's conclusions from the weights with this `Start.key`."""
    return f'conclusions, {start}'


def of_claim(comparisons: Sequence[Mapping[str, Any]], start: str, claim: str) -> Mapping[str, Any] | None:
    """Return the comparison of a conclusion (its text) from the weights with this `Start.key`, None if it has not been made."""
    wanted = (family_of(start), claim)
    return next((item for item in comparisons if (item['family'], item['title']) == wanted), None)


def _side(side: int | str, start: Start, trainings: Sequence[Group]) -> Group | None:
    """Return the group of a row of table 2 (int) or of an ablation (str), at the iterations of its config."""
    iterations = {row['row']: row['iterations'] for row in table2.paper_rows()}
    for group in trainings:
        stem = PurePosixPath(group.config).stem
        row = table2.row_number(stem) if group.table == 'table2' else None
        same = (row == side and group.iterations == iterations.get(row)) if isinstance(side, int) else stem == side
        if same and group.start == start and group.table in ('table2', 'ablations'):
            return group
    return None


def _recipes(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Compare every recipe with row 10 under the same protocol and on the same ground truth.

    Row 10 is that from the initial weights of the longest source training.
    """
    found = []
    for group in groups:
        if group.table != 'recipes' or group.kind != 'train' or group.variant:
            continue
        rivals = [
            rival
            for rival in groups
            if (rival.table, rival.kind, rival.variant, rival.protocol) == ('table2', 'train', '', group.protocol)
            and table2.row_number(PurePosixPath(rival.config).stem) == REFERENCE_ROW
            and rival.size == group.size
        ]
        if rivals:
            reference = min(rivals, key=lambda rival: rival.start.rank)
            title = f'{group.title} minus {reference.title}'
            found.append(_compared(f'against row 10, {group.protocol}', title, group, reference))
    return [item for item in found if item]
