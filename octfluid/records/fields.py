"""Rules for the fields of what is read from files, and the one line that says which field breaks one.

A rule is a pair: a function that tells whether a value is good, and what to call good values in a message.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NoReturn

from octfluid.utils.errors import InputError

INIT_SOURCES = ('hrf-own', 'hrf-zoo', 'other')
PRECISIONS = ('fp32', 'bf16', 'fp16')

_SHA256 = re.compile(r'[0-9a-f]{64}')
# Split and variant become parts of a file name.
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._+-]*')
_URL = re.compile(r'https?://')
_MOST = (1 << 63) - 1  # of a whole number: JSON holds larger ones, for which arithmetic fails
_DEEPEST = 20  # levels of objects and lists within each other, of which a record has five
_MISSING = object()


def is_count(value: Any) -> bool:
    """Tell whether a value is a whole number from 0 that fits into 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number; a truth value is none."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST


def is_text(value: Any) -> bool:
    """Tell whether a value is a string that is not empty, and one line: a page made of it would be torn, a terminal misled."""
    return isinstance(value, str) and bool(value) and not any(unicodedata.category(letter) == 'Cc' for letter in value)


def matches(pattern: re.Pattern) -> Any:
    """Return what tells whether a value is a string of a pattern."""
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_public_name(value: Any) -> bool:
    """Tell whether the name of initial weights is a bare file name or a URL."""
    return is_text(value) and (_URL.match(value) is not None or ('/' not in value and '\\' not in value))


def optional(rule: tuple) -> tuple:
    """Return the rule of a value that may be missing, which is None or in JSON null."""
    return lambda value: value is None or rule[0](value), f'{rule[1]} or null'


COUNT = (is_count, 'a non-negative integer')
OPTIONAL_COUNT = optional(COUNT)
AMOUNT = (lambda value: is_number(value) and value >= 0, 'a number >= 0')
FRACTION = (lambda value: value is None or (is_number(value) and 0 <= value <= 1), 'a fraction in [0, 1] or null')
HASH = (matches(_SHA256), 'the 64 hex digits of a SHA-256')
OBJECT = (lambda value: isinstance(value, Mapping), 'an object')
LIST = (lambda value: isinstance(value, list), 'a list')
FLAG = (lambda value: isinstance(value, bool), 'true or false')
TEXT = (is_text, 'a non-empty string of one line')
NAME = (matches(_NAME), 'a string of letters, digits and . _ + -')


def one_of(values: tuple[str, ...]) -> tuple:
    """Return the rule of a choice."""
    return lambda value: value in values, 'one of ' + ', '.join(values)


INIT = {
    'source': one_of(INIT_SOURCES),
    'name': (_is_public_name, 'a file name without folders, or a URL'),
    'sha256': HASH,
    'loaded': COUNT,
    'total': COUNT,
}


def refuse(where: str, field: str, found: Any, expected: str) -> NoReturn:
    """Raise the InputError of a field that breaks a rule."""
    if found is _MISSING:
        shown = 'is missing'
    else:
        text = ' '.join(repr(found).split())  # that of a tensor has many lines
        shown = 'is ' + (text if len(text) <= 60 else text[:57] + '...')
    raise InputError(f'{where}: field {field} {shown}; expected {expected}')


def check_object(where: str, prefix: str, content: Any, rules: Mapping[str, tuple]) -> None:
    """Check fields of an object that must all be there; others may be there, too.

    Args:
        where: The file (or other origin) that the message names.
        prefix: Dotted name of the object, empty for the outermost.
        content: The object.
        rules: By the name of the field.

    Raises:
        InputError: It is no object, or a field is missing or breaks its rule.
    """
    if not isinstance(content, Mapping):
        refuse(where, prefix, content, 'an object')
    for key, (good, expected) in rules.items():
        value = content.get(key, _MISSING)
        if value is _MISSING or not good(value):
            refuse(where, f'{prefix}.{key}' if prefix else key, value, expected)


def check_values(where: str, field: str, value: Any, depth: int = 0) -> None:
    """Refuse NaN, infinity and what is no text anywhere in what JSON held, also where no rule looks."""
    if isinstance(value, float) and not math.isfinite(value):
        refuse(where, field, value, 'a finite number (store null for an undefined one)')
    if isinstance(value, str) and not _is_unicode(value):
        refuse(where, field, value, 'text')
    if isinstance(value, Mapping | list | tuple) and depth > _DEEPEST:
        refuse(where, field, '[[[...', f'at most {_DEEPEST} levels of objects and lists within each other')
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_values(where, 'a key', key)
            check_values(where, f'{field}.{key}' if field else str(key), item, depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_values(where, f'{field}[{index}]', item, depth + 1)


def _is_unicode(text: str) -> bool:
    """Tell whether a text can be written; JSON can hold halves of characters."""
    return not any('\ud800' <= letter <= '\udfff' for letter in text)
