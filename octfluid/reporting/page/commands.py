"""The command lines that repeat each group of runs, and what the runs were made with."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import PurePosixPath
from typing import Any

from octfluid.records.runs import Run
from octfluid.reporting.page.groups import Group, described, runs_of
from octfluid.reporting.page.markup import code, fold, paragraph, table, text

REPORT = 'python tools/report.py docs/results/records --out docs/results'
_FOLDERS = {'hrf-own': 'checkpoints/hrf', 'hrf-zoo': 'checkpoints'}
"""Where the commands that make or fetch initial weights put them."""


def render(groups: Sequence[Group], runs: Sequence[Run]) -> str:
    """Return the commands of every group, and that of the pages.

    Args:
        groups: All groups.
        runs: Those of all groups, and others.
    """
    listed = ''
    for group in groups:
        lines = command_lines(runs_of(group, runs))
        listed += f'<h3>{described(group)}</h3>\n{_block(lines)}' if lines else ''
    content = paragraph('This page, and all others of the results, from the run records:') + _block([REPORT])
    return content + (fold('The runs of each configuration', listed) if listed else '')


def _block(lines: Iterable[str]) -> str:
    return f'<pre tabindex="0"><code>{text(chr(10).join(lines))}</code></pre>\n'


def command_lines(runs: Sequence[Run]) -> list[str]:
    """Return shell commands that repeat runs of one group.

    Args:
        runs: Trainings or tests that differ in seed, split and precision at most.

    Returns:
        A line for runs that differ in nothing else, with a loop where they are all combinations of several seeds and splits;
        otherwise one line a run.
    """
    found: dict[tuple[str, str], set[tuple[int, str]]] = {}
    for run in runs:
        found.setdefault(_parts(run.record), set()).add((run.record['seed'], run.record['split']))
    lines = []
    for (tool, rest), made in found.items():
        seeds, splits = (sorted(set(values)) for values in zip(*made, strict=True))
        if len(made) > 1 and made == set(product(seeds, splits)):
            lines.append(_loop(tool, rest, seeds, splits))
        else:
            lines += [_one(tool, rest, str(seed), shlex.quote(split)) for seed, split in sorted(made)]
    return lines


def _parts(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return a command before and after seed and split."""
    training, rest = record['kind'] == 'train', []
    if training:
        rest = ['--init', _weights(record)]
        rest += ['--deterministic'] if record['deterministic'] else []
    rest += ['--amp'] if record['precision'] != 'fp32' else []
    if record['overrides']:
        rest += ['--cfg-options', *(f'{name}={value}' for name, value in record['overrides'].items())]
    tool = ['python', f'tools/{record["kind"]}.py', record['config']]
    several = re.search(r'(\d+)processes', record['variant'])
    if several:
        tool = ['torchrun', '--nproc-per-node', several[1], *tool[1:]]
        rest += ['--launcher', 'pytorch']
    if not training:
        trained = f'work_dirs/{PurePosixPath(record["config"]).stem}/iter_{record["iterations"]}.pth'
        tool.append(trained if record['iterations'] else _weights(record))
    return shlex.join(tool), shlex.join(rest)


def _weights(record: Mapping[str, Any]) -> str:
    init = record['init']
    if init is None:
        return 'none'
    folder = None if '://' in init['name'] else _FOLDERS.get(init['source'])
    return f'{folder}/{init["name"]}' if folder else init['name']


def _one(tool: str, rest: str, seed: str, split: str) -> str:
    # A test draws nothing, and its tool takes no seed.
    parts = [tool, f'--seed {seed}' if 'tools/train.py' in tool else '', f'--split {split}', rest]
    return ' '.join(part for part in parts if part)


def _loop(tool: str, rest: str, seeds: Sequence[int], splits: Sequence[str]) -> str:
    """Return nested loops of a shell over seeds and splits, as far as there are several."""
    values = {'split': [shlex.quote(split) for split in splits], 'seed': [str(seed) for seed in seeds]}
    words = {name: f'${name}' if len(given) > 1 else given[0] for name, given in values.items()}
    line = _one(tool, rest, words['seed'], words['split'])
    for name, given in values.items():
        if len(given) > 1:
            line = f'for {name} in {" ".join(given)}; do {line}; done'
    return line


def versions(runs: Sequence[Run]) -> str:
    """Return what the runs were made with: devices, precisions, commits and versions, each with its number of runs."""
    if not runs:
        return paragraph('No run is recorded.')
    counted: dict[str, Counter] = {}
    for run in runs:
        record = run.record
        for name, value in (
            ('device', record['device']),
            ('precision', record['precision']),
            ('commit', _commit(record['git'])),
            *sorted(record['versions'].items()),
        ):
            counted.setdefault(name, Counter())[str(value)] += 1
    rows = []
    for name, values in counted.items():
        shown = [f'{code(value)} ({_runs(number)})' for value, number in sorted(values.items())]
        rows.append([text(name), '<br>'.join(shown)])
    return table('What the recorded runs were made with', ['what', 'value'], rows)


def _runs(number: int) -> str:
    return '1 run' if number == 1 else f'{number} runs'


def _commit(git: Mapping[str, Any] | None) -> str:
    if git is None:
        return 'no repository'
    return git['commit'][:12] + (' with changes' if git['dirty'] else '')
