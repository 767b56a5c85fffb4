"""What a run started from: vessel weights of one origin and one length of training, or random ones."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FULL = 40_000
"""Iterations of the whole training on HRF vessels, the zoo's and ours."""

# As published now, ..._8k_hrf-1a2b3c4d.pth, and as earlier records have it, ..._hrf_1000i_1a2b3c4d.safetensors.
_LENGTH = re.compile(r'_(\d+)([ik])_(?:hrf|zoo)-[0-9a-f]{8}\.pth$|_(?:hrf|zoo)_(\d+)i_')
_KEY = re.compile(r'(hrf-own|hrf-zoo)-(?:(\d+)i|unknown)')


def init_source(record: Mapping[str, Any]) -> str:
    """Return where a run's initial weights came from: ``hrf-own``, ``hrf-zoo``, ``other`` or ``scratch``."""
    return record['init']['source'] if record['init'] else 'scratch'


def source_iterations(init: Mapping[str, Any] | None) -> int | None:
    """Return how many iterations initial weights (a record's ``init``) had been trained for.

    That is the number in the name of published weights (``..._8k_hrf-...``), 40 000 for the zoo's own files, 0 from scratch,
    None if the name has no number.
    """
    if init is None:
        return 0
    if match := _LENGTH.search(init['name']):
        return int(match[1] or match[3]) * (1000 if match[2] == 'k' else 1)
    return FULL if init['source'] == 'hrf-zoo' and '_40k_hrf_' in init['name'] else None


def file_label(source: str, iterations: int | None) -> str:
    """Return the initial weights in a record's file name: ``hrf-own-1000i``, or the source alone for the full length."""
    return source if source != 'hrf-own' or iterations in (None, FULL) else f'{source}-{iterations}i'


@dataclass(frozen=True)
class Start:
    """Initial weights by origin and length of source training; runs of different starts never share a section."""

    source: str  # hrf-own, hrf-zoo or scratch
    iterations: int | None  # None if unknown, 0 from scratch

    @property
    def key(self) -> str:
        """Name of the start in ``results.json``: ``hrf-own-1000i``, ``hrf-zoo-40000i``, ``scratch``."""
        if self.source == 'scratch':
            return self.source
        return f'{self.source}-unknown' if self.iterations is None else f'{self.source}-{self.iterations}i'

    @staticmethod
    def of(key: str) -> 'Start':
        """Return the start that has this `key`; raise a ValueError if none has."""
        if key == 'scratch':
            return SCRATCH
        if match := _KEY.fullmatch(key):
            return Start(match[1], int(match[2]) if match[2] else None)
        raise ValueError(f'{key!r} names no initial weights')

    def __lt__(self, other: 'Start') -> bool:
        """Sort the full source training first, then the longer before the shorter, scratch last."""

        def rank(start: Start) -> tuple:
            return (start.source == 'scratch', start.iterations != FULL, -(start.iterations or 0), start.source)

        return rank(self) < rank(other)


SCRATCH = Start('scratch', 0)
