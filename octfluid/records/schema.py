"""What a run record must look like: the rules behind `octfluid.records.record.validate_record`.

A record is refused when a table made from it would be wrong: a missing or mistyped field, a count that does not fit its
image or does not add up, a NaN, or scores that do not follow from the counts.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from octfluid.metrics.confusion import COUNTS, pooled_metrics
from octfluid.metrics.lesions import POCKET_COUNTS
from octfluid.records.fields import (
    AMOUNT,
    COUNT,
    FLAG,
    FRACTION,
    HASH,
    INIT,
    LIST,
    NAME,
    OBJECT,
    OPTIONAL_AMOUNT,
    OPTIONAL_COUNT,
    OPTIONAL_NUMBER,
    PRECISIONS,
    TEXT,
    check_object,
    check_values,
    is_count,
    is_text,
    matches,
    one_of,
    refuse,
)

SCHEMA_FAMILY = 'octfluid.run/'
SCHEMA = f'{SCHEMA_FAMILY}1'
KINDS = ('train', 'test')
METRIC_TOLERANCE = 1e-6

_COMMIT = re.compile(r'[0-9a-f]{7,64}')


def _is_relative_path(value: Any) -> bool:
    """Tell whether a config's path says nothing about the machine: relative, forward slashes, not above the root."""
    return is_text(value) and not value.startswith(('/', '~')) and '\\' not in value and '..' not in value.split('/')


_FIELDS = {
    'schema': one_of((SCHEMA,)),
    'kind': one_of(KINDS),
    'config': (_is_relative_path, 'a path relative to the repository root, such as configs/table2/10_x.py'),
    'config_sha256': HASH,
    'overrides': OBJECT,
    'git': (lambda value: value is None or isinstance(value, Mapping), 'an object or null'),
    'source_sha256': HASH,
    'seed': COUNT,
    'deterministic': FLAG,
    'variant': (lambda value: value == '' or NAME[0](value), 'a string of letters, digits and . _ + -, may be empty'),
    'split': NAME,
    'split_sha256': HASH,
    'init': (lambda value: value is None or isinstance(value, Mapping), 'an object, or null for training from scratch'),
    'checkpoint_sha256': HASH,
    'iterations': COUNT,
    'device': TEXT,
    'precision': one_of(PRECISIONS),
    'versions': OBJECT,
    'wall_seconds': AMOUNT,
    'images_per_second': OPTIONAL_AMOUNT,
    'peak_memory_bytes': OPTIONAL_COUNT,
    'metrics': OBJECT,
    'history': LIST,
    'images': LIST,
}
_GIT = {'commit': (matches(_COMMIT), 'the hex digits of a commit'), 'dirty': FLAG}
_HISTORY = {'iteration': COUNT, 'loss': OPTIONAL_NUMBER, 'lr': OPTIONAL_NUMBER}
_IMAGE = {
    'name': TEXT,
    'subject': (lambda value: value is None or is_count(value) or is_text(value), 'an integer, a string or null'),
    'height': (lambda value: is_count(value) and value > 0, 'a positive integer'),
    'width': (lambda value: is_count(value) and value > 0, 'a positive integer'),
    **{key: COUNT for key in COUNTS},
    'extra': OBJECT,
}
# Each may be missing: older records have none of them, and ``ignored`` is there only when a pixel is.
_EXTRA = {
    'surface_dice_1px': FRACTION,
    'surface_dice_2px': FRACTION,
    'hd95_px': OPTIONAL_AMOUNT,
    'pockets': OBJECT,
    'ignored': (lambda value: is_count(value) and value > 0, 'a positive integer, or nothing where no pixel is ignored'),
}
_POCKETS = dict.fromkeys(POCKET_COUNTS, COUNT)


def metric_classes(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the negative and the positive class of a record, such as ``('background', 'fluid')``.

    Raises:
        StopIteration: The metrics name no class but the background; a validated record always names one.
    """
    names = [key.removeprefix('IoU.') for key in record['metrics'] if key.startswith('IoU.')]
    return 'background', next(name for name in names if name != 'background')


def _check_metrics(record: Mapping[str, Any], where: str) -> None:
    """Check names, range, and that every score follows from the images' counts."""
    metrics = record['metrics']
    positive = [key for key in metrics if key.startswith('IoU.') and key != 'IoU.background']
    if len(positive) != 1:
        refuse(where, 'metrics', sorted(metrics), 'IoU.background and the IoU of exactly one other class')
    expected = pooled_metrics(record['images'], metric_classes(record))
    check_object(where, 'metrics', metrics, dict.fromkeys(expected, FRACTION))
    if surplus := sorted(set(metrics) - set(expected)):
        refuse(where, f'metrics.{surplus[0]}', metrics[surplus[0]], 'no metric but ' + ', '.join(expected))
    for key, value in expected.items():
        found = metrics[key]
        if (value is None) != (found is None) or (value is not None and abs(found - value) > METRIC_TOLERANCE):
            follows = 'null' if value is None else f'{value:.6f}'
            refuse(where, f'metrics.{key}', found, f'{follows}, which follows from the counts of its images')


def _check_images(record: Mapping[str, Any], where: str) -> None:
    images = record['images']
    if not images and (record['kind'], record['split']) != ('train', 'all'):
        refuse(where, 'images', images, 'at least one image (none only in the training record of split all)')
    seen = set()
    for index, image in enumerate(images):
        field = f'images[{index}]'
        check_object(where, field, image, _IMAGE)
        if image['name'] in seen:
            refuse(where, f'{field}.name', image['name'], 'a name that no other image has')
        seen.add(image['name'])
        _check_extra(image['extra'], f'{field}.extra', where)
        ignored = image['extra'].get('ignored', 0)
        total, pixels = sum(image[key] for key in COUNTS) + ignored, image['height'] * image['width']
        if total != pixels:
            terms = 'tp+fp+fn+tn' + ('+ignored' if ignored else '')
            refuse(where, f'{field} ({image["name"]}) {terms}', total, f'height x width = {pixels}')
        _check_beside_counts(image, f'{field}.extra', where)


def _check_extra(extra: Mapping[str, Any], field: str, where: str) -> None:
    if surplus := sorted(set(extra) - set(_EXTRA)):
        refuse(where, f'{field}.{surplus[0]}', extra[surplus[0]], 'no key but ' + ', '.join(_EXTRA))
    check_object(where, field, extra, {key: rule for key, rule in _EXTRA.items() if key in extra})
    if 'pockets' in extra:
        check_object(where, f'{field}.pockets', extra['pockets'], _POCKETS)


def _check_beside_counts(image: Mapping[str, Any], field: str, where: str) -> None:
    extra, true, predicted = image['extra'], image['tp'] + image['fn'], image['tp'] + image['fp']
    for key, defined in {
        'hd95_px': true and predicted,
        'surface_dice_1px': true or predicted,
        'surface_dice_2px': true or predicted,
    }.items():
        if key in extra and (extra[key] is None) == bool(defined):
            refuse(where, f'{field}.{key}', extra[key], f'{"a number" if defined else "null"}, as its counts have it')
    if (extra.get('hd95_px') or 0) > (diagonal := math.hypot(image['height'], image['width'])):
        refuse(where, f'{field}.hd95_px', extra['hd95_px'], f'at most the diagonal of the image, {diagonal:.1f}')
    if 'pockets' not in extra:
        return
    pockets = extra['pockets']
    for key, pixels in (('true', true), ('predicted', predicted)):
        if not bool(pixels) <= pockets[key] <= pixels:
            refuse(where, f'{field}.pockets.{key}', pockets[key], f'what {pixels} pixels can make up')
    for part, whole in (('found', 'true'), ('right', 'predicted')):
        if pockets[part] > pockets[whole]:
            refuse(where, f'{field}.pockets.{part}', pockets[part], f'at most {field}.pockets.{whole} = {pockets[whole]}')


def check_record(record: Any, where: str) -> None:
    """Check a run record against every rule of its schema.

    Args:
        record: The parsed JSON.
        where: The file (or other origin) that the message names.

    Raises:
        InputError: Naming ``where``, the field, what was found and what was expected.
    """
    check_object(where, '', record, {})
    check_values(where, '', record)
    check_object(where, '', record, _FIELDS)
    if record['git'] is not None:
        check_object(where, 'git', record['git'], _GIT)
    if record['init'] is not None:
        check_object(where, 'init', record['init'], INIT)
        if record['init']['loaded'] > record['init']['total']:
            refuse(where, 'init.loaded', record['init']['loaded'], f'at most init.total = {record["init"]["total"]}')
    for name, version in record['versions'].items():
        if not is_text(version):
            refuse(where, f'versions.{name}', version, TEXT[1])
    for index, point in enumerate(record['history']):
        check_object(where, f'history[{index}]', point, _HISTORY)
    _check_images(record, where)
    _check_metrics(record, where)
