"""Tables from run records: ``table2.md``, ``recipes.md``, ``results.json`` and the results block of the README.

Everything is a pure function of the records: no dates, no places, no order of reading.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from octfluid.errors import InputError
from octfluid.evaluation import table2
from octfluid.evaluation.runs import Run, markdown_list, markdown_table, percent_spread, summarise, unique_runs
from octfluid.io.atomic import write_text

SCHEMA = 'octfluid.results/1'
README_BEGIN, README_END = '<!-- results:begin -->', '<!-- results:end -->'


def build_recipes(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect the scores of runs whose config belongs to no table of its own.

    Args:
        runs: Unique runs.

    Returns:
        ``groups``: one mapping for runs that agree in config, kind, split, initial weights, iterations and variant, with the
        summary over their seeds; ``not_used``: label and reason.

    Raises:
        InputError: Runs of one group differ in config content, initial weights or scored files.
    """
    groups: dict[tuple, list[Run]] = {}
    not_used = []
    for run in runs:
        record = run.record
        if run.changed:
            not_used.append([run.label, 'overrides ' + ', '.join(run.changed)])
            continue
        key = (record['config'], record['kind'], record['split'], run.source, record['iterations'], record['variant'])
        groups.setdefault(key, []).append(run)
    names = ('config', 'kind', 'split', 'init', 'iterations', 'variant')
    rows = [
        {**dict(zip(names, key, strict=True)), 'foreground': group[0].foreground, **summarise(group)}
        for key, group in sorted(groups.items())
    ]
    return {'groups': rows, 'not_used': sorted(not_used)}


def render_recipes(recipes: dict[str, Any]) -> str:
    """Return ``recipes.md`` from the output of `build_recipes`."""
    text = '# Our own recipes\n\n<!-- written by tools/report.py from the run records; do not edit -->\n\n'
    text += _recipes_table(recipes) or 'No run is recorded.\n'
    if recipes['groups']:
        text += '\nScores are percent, pooled over all pixels of the scored images: mean ± sample standard deviation over n '
        text += 'seeds.\n'
    if recipes['not_used']:
        text += '\n## Not used\n\n' + markdown_list(map(tuple, recipes['not_used']))
    return text


def _recipes_table(recipes: dict[str, Any]) -> str:
    """Return one line per group of runs as a Markdown table; empty without any."""
    scores = ['mIoU', 'mDice', 'foreground Dice', 'foreground IoU']
    header = ['config', 'run', 'split', 'initial weights', 'iterations', *scores, 'seeds']
    lines = [
        [
            f'`{group["config"]}`',
            group['kind'] + (f', {group["variant"]}' if group['variant'] else ''),
            group['split'],
            group['init'],
            str(group['iterations']),
            *(percent_spread(group[name]) for name in table2.SCORES),
            f'n = {group["n"]}',
        ]
        for group in recipes['groups']
    ]
    return markdown_table(header, lines) if lines else ''


def build_results(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect all numbers behind the tables.

    Args:
        runs: Runs in any order; repetitions are counted once.

    Returns:
        The content of ``results.json``.

    Raises:
        InputError: Records contradict each other; the message names two of them.
    """
    kept, repeated = unique_runs(runs)
    return {
        'schema': SCHEMA,
        'table2': table2.build([run for run in kept if run.table == 'table2']),
        'recipes': build_recipes([run for run in kept if run.table == 'recipes']),
        'repeated': sorted(run.label for run in repeated),
    }


def render_readme_block(results: dict[str, Any], link: str) -> str:
    """Return what stands between the README's markers.

    Args:
        results: Output of `build_results`.
        link: The results folder relative to the README, with forward slashes.
    """
    files = {name: f'[{link}/{name}]({link}/{name})' for name in ('table2.md', 'recipes.md', 'results.json')}
    own = _recipes_table(results['recipes'])
    return (
        (f'Our own configs, scored the same way, in percent:\n\n{own}\n' if own else '')
        + 'Table 2 of the paper, fine-tuning on Duke DME, beside our runs: mIoU / mDice in percent; ours is mean ± SD over n '
        f'seeds, and "{table2.PENDING}" has not been run.\n\n{table2.render_short(results["table2"])}\n'
        f'Fluid scores and notes: {files["table2.md"]}. Our own recipes: {files["recipes.md"]}. '
        f'All numbers: {files["results.json"]}.\n'
    )


def _readme_parts(path: Path) -> tuple[str, str]:
    """Return what precedes and what follows the README's results block, markers included."""
    try:
        text = path.read_text(encoding='utf-8')
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); expected a README with {README_BEGIN}') from error
    if text.count(README_BEGIN) != 1 or text.count(README_END) != 1 or text.index(README_BEGIN) > text.index(README_END):
        raise InputError(f'{path}: expected one {README_BEGIN} and, after it, one {README_END}; add the two lines')
    return text[: text.index(README_BEGIN) + len(README_BEGIN)], text[text.index(README_END) :]


def default_readme(out: Path) -> Path | None:
    """Return ``<root>/README.md`` when ``out`` is ``<root>/docs/results`` and that README has the markers, else None."""
    out = Path(out).resolve()
    readme = out.parent.parent / 'README.md'
    if (out.parent.name, out.name) != ('docs', 'results') or not readme.is_file():
        return None
    return readme if README_BEGIN in readme.read_text(encoding='utf-8') else None


def write_report(runs: Sequence[Run], out: Path, readme: Path | None = None) -> tuple[dict[str, Any], list[Path]]:
    """Write every table.

    Args:
        runs: Runs in any order.
        out: The results folder, created when missing.
        readme: A README whose marked block is replaced; None leaves READMEs alone.

    Returns:
        (content of ``results.json``, files written).

    Raises:
        InputError: Records contradict each other, or the README lacks the markers; nothing is written.
    """
    out, results = Path(out), build_results(runs)
    files = {
        out / 'table2.md': table2.render(results['table2']),
        out / 'recipes.md': render_recipes(results['recipes']),
        out / 'results.json': json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + '\n',
    }
    if readme is not None:
        before, after = _readme_parts(Path(readme))
        link = Path(os.path.relpath(out.resolve(), Path(readme).resolve().parent)).as_posix()
        files[Path(readme)] = f'{before}\n{render_readme_block(results, link)}{after}'
    for path, content in files.items():
        write_text(path, content)
    return results, list(files)
