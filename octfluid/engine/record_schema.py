"""What a run record must look like: the rules behind `octfluid.engine.record.validate_record`.

A record is refused when a table made from it would be wrong: a missing or mistyped field, a count that does not fit its
image or does not add up, a NaN, or scores that do not follow from the counts.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from octfluid.errors import InputError
from octfluid.evaluation.counts import COUNTS, pooled_metrics
from octfluid.evaluation.pockets import POCKET_COUNTS

SCHEMA_FAMILY = 'octfluid.run/'
SCHEMA = f'{SCHEMA_FAMILY}1'
KINDS = ('train', 'test')
INIT_SOURCES = ('hrf-own', 'hrf-zoo', 'other')
PRECISIONS = ('fp32', 'bf16', 'fp16')
METRIC_TOLERANCE = 1e-6

_SHA256 = re.compile(r'[0-9a-f]{64}')
_COMMIT = re.compile(r'[0-9a-f]{7,64}')
# Split and variant become parts of a file name.
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._+-]*')
_URL = re.compile(r'https?://')
_MOST = (1 << 63) - 1  # of a whole number: JSON holds larger ones, for which arithmetic fails
_DEEPEST = 20  # levels of objects and lists within each other, of which a record has five
_MISSING = object()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _matches(pattern: re.Pattern) -> Any:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_relative_path(value: Any) -> bool:
    """Tell whether a config's path says nothing about the machine: relative, forward slashes, not above the root."""
    return _is_text(value) and not value.startswith(('/', '~')) and '\\' not in value and '..' not in value.split('/')


def _is_public_name(value: Any) -> bool:
    """Tell whether the name of initial weights is a bare file name or a URL."""
    return _is_text(value) and (_URL.match(value) is not None or ('/' not in value and '\\' not in value))


_COUNT = (_is_count, 'a non-negative integer')
_OPTIONAL_COUNT = (lambda value: value is None or _is_count(value), 'a non-negative integer or null')
_AMOUNT = (lambda value: _is_number(value) and value >= 0, 'a number >= 0')
_OPTIONAL_AMOUNT = (lambda value: value is None or (_is_number(value) and value >= 0), 'a number >= 0 or null')
_OPTIONAL_NUMBER = (lambda value: value is None or _is_number(value), 'a finite number or null')
_FRACTION = (lambda value: value is None or (_is_number(value) and 0 <= value <= 1), 'a fraction in [0, 1] or null')
_HASH = (_matches(_SHA256), 'the 64 hex digits of a SHA-256')
_OBJECT = (lambda value: isinstance(value, Mapping), 'an object')
_LIST = (lambda value: isinstance(value, list), 'a list')
_FLAG = (lambda value: isinstance(value, bool), 'true or false')
_TEXT = (_is_text, 'a non-empty string')


def _one_of(values: tuple[str, ...]) -> tuple:
    return lambda value: value in values, 'one of ' + ', '.join(values)


_FIELDS = {
    'schema': _one_of((SCHEMA,)),
    'kind': _one_of(KINDS),
    'config': (_is_relative_path, 'a path relative to the repository root, such as configs/table2/10_x.py'),
    'config_sha256': _HASH,
    'overrides': _OBJECT,
    'git': (lambda value: value is None or isinstance(value, Mapping), 'an object or null'),
    'source_sha256': _HASH,
    'seed': _COUNT,
    'deterministic': _FLAG,
    'variant': (lambda value: value == '' or _matches(_NAME)(value), 'a string of letters, digits and . _ + -, may be empty'),
    'split': (_matches(_NAME), 'a string of letters, digits and . _ + -'),
    'split_sha256': _HASH,
    'init': (lambda value: value is None or isinstance(value, Mapping), 'an object, or null for training from scratch'),
    'checkpoint_sha256': _HASH,
    'iterations': _COUNT,
    'device': _TEXT,
    'precision': _one_of(PRECISIONS),
    'versions': _OBJECT,
    'wall_seconds': _AMOUNT,
    'images_per_second': _OPTIONAL_AMOUNT,
    'peak_memory_bytes': _OPTIONAL_COUNT,
    'metrics': _OBJECT,
    'history': _LIST,
    'images': _LIST,
}
_GIT = {'commit': (_matches(_COMMIT), 'the hex digits of a commit'), 'dirty': _FLAG}
_INIT = {
    'source': _one_of(INIT_SOURCES),
    'name': (_is_public_name, 'a file name without folders, or a URL'),
    'sha256': _HASH,
    'loaded': _COUNT,
    'total': _COUNT,
}
_HISTORY = {'iteration': _COUNT, 'loss': _OPTIONAL_NUMBER, 'lr': _OPTIONAL_NUMBER}
_IMAGE = {
    'name': _TEXT,
    'subject': (lambda value: value is None or _is_count(value) or _is_text(value), 'an integer, a string or null'),
    'height': (lambda value: _is_count(value) and value > 0, 'a positive integer'),
    'width': (lambda value: _is_count(value) and value > 0, 'a positive integer'),
    **{key: _COUNT for key in COUNTS},
    'extra': _OBJECT,
}
# Each may be missing: older records have none of them, and ``ignored`` is there only when a pixel is.
_EXTRA = {
    'surface_dice_1px': _FRACTION,
    'surface_dice_2px': _FRACTION,
    'hd95_px': _OPTIONAL_AMOUNT,
    'pockets': _OBJECT,
    'ignored': (lambda value: _is_count(value) and value > 0, 'a positive integer, or nothing where no pixel is ignored'),
}
_POCKETS = dict.fromkeys(POCKET_COUNTS, _COUNT)


def _refuse(where: str, field: str, found: Any, expected: str) -> NoReturn:
    if found is _MISSING:
        shown = 'is missing'
    else:
        text = repr(found)
        shown = 'is ' + (text if len(text) <= 60 else text[:57] + '...')
    raise InputError(f'{where}: field {field} {shown}; expected {expected}')


def _check_object(where: str, prefix: str, content: Any, rules: Mapping[str, tuple]) -> None:
    if not isinstance(content, Mapping):
        _refuse(where, prefix, content, 'an object')
    for key, (good, expected) in rules.items():
        value = content.get(key, _MISSING)
        if value is _MISSING or not good(value):
            _refuse(where, f'{prefix}.{key}' if prefix else key, value, expected)


def _check_values(where: str, field: str, value: Any, depth: int = 0) -> None:
    """Refuse NaN, infinity and what is no text anywhere in the record, also where no rule looks (extra, overrides)."""
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(where, field, value, 'a finite number (store null for an undefined one)')
    if isinstance(value, str) and not _is_unicode(value):
        _refuse(where, field, value, 'text')
    if isinstance(value, Mapping | list | tuple) and depth > _DEEPEST:
        _refuse(where, field, '[[[...', f'at most {_DEEPEST} levels of objects and lists within each other')
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_values(where, 'a key', key)
            _check_values(where, f'{field}.{key}' if field else str(key), item, depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_values(where, f'{field}[{index}]', item, depth + 1)


def _is_unicode(text: str) -> bool:
    """Tell whether a text can be written; JSON can hold halves of characters."""
    return not any('\ud800' <= letter <= '\udfff' for letter in text)


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
        _refuse(where, 'metrics', sorted(metrics), 'IoU.background and the IoU of exactly one other class')
    expected = pooled_metrics(record['images'], metric_classes(record))
    _check_object(where, 'metrics', metrics, dict.fromkeys(expected, _FRACTION))
    if surplus := sorted(set(metrics) - set(expected)):
        _refuse(where, f'metrics.{surplus[0]}', metrics[surplus[0]], 'no metric but ' + ', '.join(expected))
    for key, value in expected.items():
        found = metrics[key]
        if (value is None) != (found is None) or (value is not None and abs(found - value) > METRIC_TOLERANCE):
            follows = 'null' if value is None else f'{value:.6f}'
            _refuse(where, f'metrics.{key}', found, f'{follows}, which follows from the counts of its images')


def _check_images(record: Mapping[str, Any], where: str) -> None:
    images = record['images']
    if not images and (record['kind'], record['split']) != ('train', 'all'):
        _refuse(where, 'images', images, 'at least one image (none only in the training record of split all)')
    seen = set()
    for index, image in enumerate(images):
        field = f'images[{index}]'
        _check_object(where, field, image, _IMAGE)
        if image['name'] in seen:
            _refuse(where, f'{field}.name', image['name'], 'a name that no other image has')
        seen.add(image['name'])
        _check_extra(image['extra'], f'{field}.extra', where)
        ignored = image['extra'].get('ignored', 0)
        total, pixels = sum(image[key] for key in COUNTS) + ignored, image['height'] * image['width']
        if total != pixels:
            terms = 'tp+fp+fn+tn' + ('+ignored' if ignored else '')
            _refuse(where, f'{field} ({image["name"]}) {terms}', total, f'height x width = {pixels}')


def _check_extra(extra: Mapping[str, Any], field: str, where: str) -> None:
    if surplus := sorted(set(extra) - set(_EXTRA)):
        _refuse(where, f'{field}.{surplus[0]}', extra[surplus[0]], 'no key but ' + ', '.join(_EXTRA))
    _check_object(where, field, extra, {key: rule for key, rule in _EXTRA.items() if key in extra})
    if 'pockets' not in extra:
        return
    pockets = extra['pockets']
    _check_object(where, f'{field}.pockets', pockets, _POCKETS)
    for part, whole in (('found', 'true'), ('right', 'predicted')):
        if pockets[part] > pockets[whole]:
            _refuse(where, f'{field}.pockets.{part}', pockets[part], f'at most {field}.pockets.{whole} = {pockets[whole]}')


def check_record(record: Any, where: str) -> None:
    """Check a run record against every rule of its schema.

    Args:
        record: The parsed JSON.
        where: The file (or other origin) that the message names.

    Raises:
        InputError: Naming ``where``, the field, what was found and what was expected.
    """
    _check_object(where, '', record, {})
    _check_values(where, '', record)
    _check_object(where, '', record, _FIELDS)
    if record['git'] is not None:
        _check_object(where, 'git', record['git'], _GIT)
    if record['init'] is not None:
        _check_object(where, 'init', record['init'], _INIT)
        if record['init']['loaded'] > record['init']['total']:
            _refuse(where, 'init.loaded', record['init']['loaded'], f'at most init.total = {record["init"]["total"]}')
    for name, version in record['versions'].items():
        if not _is_text(version):
            _refuse(where, f'versions.{name}', version, 'a non-empty string')
    for index, point in enumerate(record['history']):
        _check_object(where, f'history[{index}]', point, _HISTORY)
    _check_images(record, where)
    _check_metrics(record, where)
