"""The part of the page on speed that shows how time and memory of prediction grow with the length of a volume."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from octfluid.records.fields import is_number, is_text
from octfluid.reporting import markdown as md
from octfluid.reporting.markdown import PENDING

KIND = 'growth'
FIGURE = 'growth.png'
TITLE = 'Growth with the length of a volume'
NOTE = (
    'Growth: B-scans of 496x768 pixels of noise through ONNX Runtime, one after the other; memory is that of the whole '
    'process, each volume in its own.'
)
_HEADER = ['model', 'B-scans of a volume', 'seconds', 'seconds each', 'peak memory', 'device']


def faults(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, what was expected) for what is wrong in a benchmark of this kind, as far as the page needs it."""
    settings = content.get('settings')
    if not (isinstance(settings, dict) and is_text(settings.get('model'))):
        yield 'settings.model', 'a text'
    volumes = content.get('volumes')
    if not (isinstance(volumes, list) and volumes):
        yield 'volumes', 'a list of volumes'
        return
    for place, volume in enumerate(volumes):
        for name in ('scans', 'seconds', 'peak_bytes'):
            value = volume.get(name) if isinstance(volume, dict) else None
            if not (is_number(value) and value > 0):
                yield f'volumes[{place}].{name}', 'a finite number above 0'


def build(benchmarks: Sequence[Any]) -> list[dict[str, Any]]:
    """Collect what the section shows, from `octfluid.reporting.speed.Benchmark` of this kind."""
    return [
        {'file': one.name, **{key: one.content[key] for key in ('device', 'settings', 'volumes')}}
        for one in sorted(benchmarks, key=lambda one: one.name)
    ]


def render(content: Sequence[Mapping[str, Any]], folder: str, drawn: Sequence[str] = ()) -> str:
    """Return the section from the output of `build`; links go to ``folder``, and to the figure if it is among ``drawn``."""
    lines = [
        [
            f'[`{found["settings"]["model"]}`]({folder}/{found["file"]})',
            str(volume['scans']),
            f'{volume["seconds"]:.1f}',
            f'{volume["seconds"] / volume["scans"]:.3f}',
            f'{volume["peak_bytes"] / 1e6:.0f} MB',
            found['device'],
        ]
        for found in content
        for volume in found['volumes']
    ]
    picture = f'![Seconds and peak memory by the number of B-scans](figures/{FIGURE})\n\n' if FIGURE in drawn else ''
    return f'## {TITLE}\n\n{picture}{md.table(_HEADER, lines or [[PENDING, *["-"] * (len(_HEADER) - 1)]])}\n'
