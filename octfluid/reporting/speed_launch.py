"""The part of the page on speed that shows how soon a tool begins: ``--help``, and the first training iteration."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from octfluid.reporting import markdown as md
from octfluid.reporting.markdown import PENDING

KIND = 'launch'
TITLE = 'From the command to its beginning'
NOTE = (
    'From the command to its beginning: seconds of a new process with files in the memory of the system, median, lowest and '
    'highest. A training begins with its first iteration: until the first batch is there, and loader workers with it.'
)
_HEADER = ['command', 'seconds', 'times', 'device']


def faults(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, what was expected) for what is wrong in a benchmark of this kind, as far as the page needs it."""
    commands = content.get('commands')
    if not (isinstance(commands, dict) and commands):
        yield 'commands', 'an object'
        return
    for command, seconds in commands.items():
        numbers = isinstance(seconds, list) and bool(seconds)
        if not (numbers and all(isinstance(value, float) and math.isfinite(value) and value > 0 for value in seconds)):
            yield f'commands.{command}', 'a list of seconds'


def build(benchmarks: Sequence[Any]) -> list[dict[str, Any]]:
    """Collect what the section shows, from `octfluid.reporting.speed.Benchmark` of this kind."""
    return [
        {'file': one.name, **{key: one.content[key] for key in ('device', 'commands')}}
        for one in sorted(benchmarks, key=lambda one: one.name)
    ]


def render(content: Sequence[Mapping[str, Any]], folder: str) -> str:
    """Return the section from the output of `build`; links go to ``folder``."""
    lines = [
        [
            f'[`{command}`]({folder}/{found["file"]})',
            f'{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})',
            str(len(seconds)),
            found['device'],
        ]
        for found in content
        for command, seconds in found['commands'].items()
    ]
    return f'## {TITLE}\n\n{md.table(_HEADER, lines or [[PENDING, *["-"] * (len(_HEADER) - 1)]])}\n'
