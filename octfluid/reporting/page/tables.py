"""The tables of scores, and what each protocol lets one conclude."""

from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.metrics.bootstrap import MIN_SUBJECTS
from octfluid.metrics.measures import MEASURES
from octfluid.reporting import comparisons as compared
from octfluid.reporting.difference import points_interval
from octfluid.reporting.estimates_page import AREAS, HEADLINE, leakage_verdict, withheld
from octfluid.reporting.page.groups import Group, config_name, protocol_name, training_name
from octfluid.reporting.page.markup import bullets, code, estimate, fold, paragraph, table, text

_PARTS = {
    'Overlap, pooled over all pixels': ('dice', 'iou', 'mdice', 'miou', 'precision', 'recall'),
    'Images, patients, and false alarms': ('image_dice', 'subject_dice', 'false_positive_rate', 'false_positive_px'),
    'Outlines and pockets': ('surface_dice_1px', 'surface_dice_2px', 'hd95_px', 'pocket_sensitivity', 'pocket_precision'),
    'Fluid area of a scan': ('area_bias_px', 'area_limit_low_px', 'area_limit_high_px', 'area_correlation'),
}
"""Measures of the second table, in parts that fit on a printed page."""


def _titles(names: Sequence[str]) -> list[str]:
    return [MEASURES[name].title + (f', {MEASURES[name].unit}' if MEASURES[name].unit else '') for name in names]


def _first_cell(group: Group) -> str:
    return f'{code(config_name(group))} <span class="about">{text(training_name(group))}</span>'


def _withheld(group: Group, columns: int) -> tuple[str, int]:
    return f'<span class="withheld">{text(withheld(group))}</span>', columns


def _protocol_cell(group: Group) -> str:
    seen = '<span class="about">patients seen in training</span>' if group['shared_subjects'] else ''
    return text(protocol_name(group['protocol'])) + seen


def headline(groups: Sequence[Group]) -> str:
    """Return the main measures of every group, one line each."""
    if not groups:
        return paragraph('No run is recorded.')
    rows = []
    for group in groups:
        found = group['measures']
        scores = (
            [estimate(found[name], MEASURES[name].unit) for name in HEADLINE] if found else [_withheld(group, len(HEADLINE))]
        )
        images = f'{group["images"]}, {group["with_fluid"]} with fluid'
        about = (text(value) for value in (len(group['seeds']), images, group['subjects']))
        rows.append([_first_cell(group), _protocol_cell(group), *scores, *about])
    header = ['configuration', 'protocol', *_titles(HEADLINE), 'seeds', 'images', 'patients']
    caption = 'Scores of every configuration; in brackets the 95 % interval over patients and seeds'
    note = (
        f'Without brackets there is no interval: fewer than {MIN_SUBJECTS} patients were scored, or too many draws leave the '
        'measure undefined. With one seed, an interval says nothing about other seeds.'
    )
    return table(caption, header, rows) + paragraph(note, 'soft')


def all_measures(groups: Sequence[Group]) -> str:
    """Return every measure of every group, folded until asked for."""
    if not groups:
        return paragraph('No run is recorded.')
    parts = ''
    for caption, names in _PARTS.items():
        rows = []
        for group in groups:
            found = group['measures']
            cells = [_cell(name, found[name], group) for name in names] if found else [_withheld(group, len(names))]
            rows.append([_first_cell(group), text(protocol_name(group['protocol'])), *cells])
        parts += table(caption, ['configuration', 'protocol', *_titles(names)], rows)
    return fold('All measures of every configuration, with their intervals', parts)


def _cell(name: str, found: Mapping[str, Any], group: Group) -> str:
    cell = estimate(found, MEASURES[name].unit)
    if found['value'] is None:
        return cell
    if name in AREAS and group['pixel_mm2']:
        cell += f' <span class="interval">{found["value"] * group["pixel_mm2"]:.4f} mm², nominal</span>'
    # Most measures rest on all images; where it is fewer, the number belongs to the score.
    return cell + (f' <span class="interval">{found["images"]} images</span>' if found['images'] != group['images'] else '')


def protocols(groups: Sequence[Group], comparisons: Sequence[Mapping[str, Any]]) -> str:
    """Return one sentence a protocol: whether patients stand on both sides, and what leakage was measured."""
    told: dict[tuple[str, bool | None], str] = {}
    for group in groups:
        name, shared = protocol_name(group['protocol']), group['shared_subjects']
        name += '' if group['iterations'] else ', by networks that were never trained on fluid'
        if shared:
            words = (
                'patients stand on both sides: other slices of every or nearly every scored patient were trained on. Scores '
                'under it may flatter, and say little about new patients.'
            )
        elif shared is None:
            words = 'the records do not tell whether patients stand on both sides; take its scores with care.'
        else:
            words = 'no scored patient was trained on: these scores speak of new patients.'
        told[name, shared] = f'<strong>{text(name)}</strong>: {text(words)}'
    items = list(told.values())
    for item in comparisons:
        if item['family'] == compared.LEAKAGE:
            words = f'{item["arm"]} minus {item["reference"]}: {points_interval(item)} points of fluid Dice'
            words += (f'; {item["note"]}' if item['note'] else ', on the same images') + f'; {leakage_verdict(item)}'
            items.append(f'<strong>Leakage measured</strong>: {text(words)}.')
    return bullets(items) or paragraph('No run is recorded.')
