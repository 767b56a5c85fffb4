"""The part of the page on speed that shows contenders who took turns: training, scoring, one B-scan."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from octfluid.records.fields import is_number, is_text
from octfluid.reporting import markdown as md
from octfluid.reporting.markdown import PENDING

TITLES = {
    'train': 'Training',
    'infer': 'Scoring the validation scans',
    'scan': 'One B-scan of 496x768 pixels',
}
"""The kinds of benchmarks shown here, and the titles of their sections."""

_NEEDED = ('ratio_median', 'ratio_min', 'ratio_max', 'per_second')
_OPTIONAL = ('share_of_matrix_rate', 'share_waiting', 'largest_difference', 'mask_difference', 'marked')


def _is_number(value: Any) -> bool:
    return is_number(value) and value >= 0


def faults(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, what was expected) for what is wrong in a benchmark of one of these kinds, as far as the page needs it."""
    for part in ('settings', 'contenders', 'summary'):
        if not isinstance(content.get(part), dict):
            yield part, 'an object'
            return
    settings = content['settings']
    for name in ('unit', 'device'):
        if not is_text(settings.get(name)):
            yield f'settings.{name}', 'a text'
    for name in ('repeats', 'threads'):
        if not _is_number(settings.get(name)):
            yield f'settings.{name}', 'a finite number, 0 or more'
    rates = content.get('rates')
    if rates is not None and not (isinstance(rates, dict) and all(map(_is_number, rates.values()))):
        yield 'rates', 'an object of numbers, or null'
    for contender, found in content['summary'].items():
        racing = content['contenders'].get(contender)
        if not isinstance(found, dict) or not isinstance(racing, dict) or not _is_number(racing.get('peak_bytes')):
            yield f'contenders.{contender}.peak_bytes', 'a number of bytes'
            continue
        for name in (*_NEEDED, *_OPTIONAL):
            value = found.get(name)
            if not _is_number(value) and not (name in _OPTIONAL and value is None):
                yield f'summary.{contender}.{name}', 'a finite number, 0 or more'
        if found.get('mask_difference') is not None and found.get('largest_difference') is None:
            yield f'summary.{contender}.largest_difference', 'a finite number, as there is one of mask_difference'


def _share(value: float | None, digits: int = 0) -> str:
    return '-' if value is None else f'{100 * value:.{digits}f} %'


def _lines(found: Mapping[str, Any], folder: str) -> list[list[str]]:
    settings = found['settings']
    changed = ''.join(f', `{key}={json.dumps(value)}`' for key, value in sorted(found['overrides'].items()))
    where = f'[`{found["config"]}`]({folder}/{found["file"]}){changed}'
    lines = []
    for name, one in found['summary'].items():
        same = '-'
        if one.get('mask_difference') is not None:
            marked = f' (marked {_share(one["marked"], 2)})' if one.get('marked') is not None else ''
            same = f'{_share(one["mask_difference"], 4)}{marked}, {one["largest_difference"]:.1e}'
        lines.append([
            where,
            name,
            f'{one["ratio_median"]:.2f} ({one["ratio_min"]:.2f} to {one["ratio_max"]:.2f})',
            f'{one["per_second"]:.3g} {settings["unit"]}s',
            _share(one.get('share_of_matrix_rate')),
            _share(one.get('share_waiting'), 1),
            same,
            f'{found["peak_bytes"][name] / 1e6:.0f} MB',
            f'{settings["repeats"]} turns, {settings["threads"]} threads, {settings["device"]}',
        ])  # fmt: skip
    return lines


HEADER = ['config', 'contender', 'times stock', 'a second', 'of the matrix rate', 'waiting for data',
          'masks, probabilities', 'peak memory', 'measured']  # fmt: skip


def build(benchmarks: Sequence[Any]) -> list[dict[str, Any]]:
    """Collect what these sections show, by kind and file name: the record without single turns.

    Args:
        benchmarks: Of `octfluid.reporting.speed.Benchmark`, in any order, all of the kinds of `TITLES`.
    """
    order = list(TITLES)
    ordered = sorted(benchmarks, key=lambda one: (order.index(one.content['kind']), one.name))
    keys = ('kind', 'config', 'overrides', 'settings', 'rates', 'summary')
    return [
        {
            'file': one.name,
            **{key: one.content.get(key) for key in keys},
            'peak_bytes': {name: racing['peak_bytes'] for name, racing in one.content['contenders'].items()},
        }
        for one in ordered
    ]


def precision(contender: str) -> str:
    """Return the key in ``rates`` of the matrix rate that a contender is measured by, from its name."""
    return '16 bits' if 'mixed' in contender or contender.startswith('without') else 'fp32'


def limit(share: float, waiting: float | None) -> str:
    """Name what a contender's speed is bound by.

    Args:
        share: Of the rate of matrix products.
        waiting: Share of the time spent waiting for data, if known.
    """
    if waiting is not None and waiting >= 0.1:
        return 'data'
    return 'arithmetic' if share >= 0.8 else 'memory and overhead'


def _limits(found: Mapping[str, Any], folder: str) -> list[list[str]]:
    """Return the lines on a benchmark's contenders whose operations are known."""
    lines = []
    for name, one in found['summary'].items():
        share, matrix = one.get('share_of_matrix_rate'), found['rates'] and found['rates'].get(precision(name))
        if share is None or not matrix or not one['per_second']:
            continue
        rate = share * matrix
        lines.append([
            f'[`{found["config"]}`]({folder}/{found["file"]}), {TITLES[found["kind"]].lower()}',
            name,
            f'{rate / one["per_second"] / 1e12:.3g} per {found["settings"]["unit"]}',
            f'{rate / 1e12:.3g}',
            f'{matrix / 1e12:.3g}',
            _share(share),
            limit(share, one.get('share_waiting')),
        ])  # fmt: skip
    return lines


LIMITS_HEADER = ['config', 'contender', 'operations, 10^12', 'reached, 10^12 a second', 'matrix products, 10^12 a second',
                 'share', 'bound by']  # fmt: skip


def render(content: Sequence[Mapping[str, Any]], folder: str) -> str:
    """Return the sections from the output of `build`; links go to ``folder``."""
    text = ''
    for kind, title in TITLES.items():
        lines = [line for found in content if found['kind'] == kind for line in _lines(found, folder)]
        text += f'## {title}\n\n{md.table(HEADER, lines or [[PENDING, *["-"] * (len(HEADER) - 1)]])}\n'
    lines = [line for found in content for line in _limits(found, folder)]
    pending = [[PENDING, *['-'] * (len(LIMITS_HEADER) - 1)]]
    return text + f'## What bounds it\n\n{md.table(LIMITS_HEADER, lines or pending)}\n'


NOTES = (
    'Training, scoring and B-scans: each contender works in a process of its own, one at a time, each round begun by another; '
    '"times stock" is the median of the ratios of each round\'s seconds, and in brackets the lowest and the highest.',
    '"stock" is MMSegmentation with its own transforms, runner, slide inference and metric, in float32, with the same network, '
    'data, batch and optimizer. Weights are random in training and for single B-scans; time does not depend on them.',
    'For single B-scans the exported model is another network than that of "stock", many times smaller: its line says how much '
    'sooner an answer is there, not how much faster the code is.',
    '"of the matrix rate": operations of the convolutions done in a second, as a share of what the same machine reached in '
    'products of 2048x2048 matrices at that precision, measured right after. A backward pass counts as two forward passes.',
    'What bounds it: multiplications and additions of the convolutions, those of the backward pass included. From 80 % of the '
    'rate of matrix products on it is the arithmetic, where a tenth of the time goes by waiting for samples it is the data; '
    'else the traffic of memory and what surrounds the convolutions. Counted are the operations of the network as it is '
    'written; scoring needs fewer (docs/benchmarks.md), so that a share above 100 % is possible there.',
    '"stock, heat 2" and so on: with many contenders a few take turns with stock at a time, and each is compared with the '
    'stock of its heat.',
    '"masks, probabilities": share of pixels whose mask differs from stock\'s, in brackets the share that stock marks as '
    'fluid, and the greatest difference in probability. Without that share nothing is said of masks: networks that mark '
    'nothing have equal ones.',
    '"peak memory" is that of the contender\'s process without loader workers, or what it took of the GPU.',
)
