"""Every results page, ``results.json``, the figures and the results block of the README, from run records and benchmarks.

All of it follows from those alone: dates, places and the order of reading change nothing.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from octfluid.records.runs import Run, check_same, overridden, select_runs, unique_runs
from octfluid.reporting import ablations, comparisons, estimates, figures, recipes, speed, table1, table2
from octfluid.reporting.folds import LEAVE_ONE_OUT, is_inner, protocol_of
from octfluid.reporting.pages import WRITTEN_BY, render, render_html, render_page
from octfluid.utils.atomic import require_file_names, write_bytes
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_text

SCHEMA = 'octfluid.results/1'
TABLES = ('table1', 'table2', 'ablations', 'hrf', 'recipes', 'external')
README_BEGIN, README_END = '<!-- results:begin -->', '<!-- results:end -->'
PAGES = ('table1.md', 'table2.md', 'ablations.md', 'recipes.md', 'what_holds_up.md', 'prediction.md', 'speed.md')
HTML = 'report.html'
TITLE = 'Retinal fluid segmentation in OCT: results with their uncertainty'
GALLERIES = 3
"""Configurations whose pictures the page of recipes shows."""


def unique_scored(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Return each run once, and its repetitions, without trainings on all scans, which leave no scan to score."""
    return unique_runs([run for run in runs if run.record['images']])


def by_table(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return runs by the table they belong to, without those on inner splits; a table without runs has an empty list.

    The folds of leave-one-subject-out are in no table: each is a part of a score, which `estimates` pools.
    """
    whole = [run for run in runs if not is_inner(run) and protocol_of(run.record['split']) != LEAVE_ONE_OUT]
    return {name: [run for run in whole if run.table == name] for name in TABLES}


def build_results(runs: Sequence[Run], out: Path | None = None) -> dict[str, Any]:
    """Return the content of ``results.json``: all numbers behind the pages; repetitions of a run are counted once.

    ``out`` is the results folder, which may hold benchmarks and checks of predictions.

    Raises:
        InputError: Records contradict each other; the message names two of them.
    """
    every, repeated = unique_scored(runs)
    kept = [run for run in every if not is_inner(run)]
    own = [run for run in kept if run.table != 'external']  # few scans of many devices, without intervals
    in_tables = [run for run in own if run.foreground == estimates.FOREGROUND and run.table != 'recipes']
    of = by_table(kept)
    rows = table2.build(of['table2'])
    changed = ablations.build(of['ablations'], of['table2'])
    # The page of conclusions compares runs of both tables.
    check_same(table2.select(of['table2'])[0] + ablations.select(of['ablations'])[0], 'images')
    return {
        'schema': SCHEMA,
        'table1': table1.build(of['table1']),
        'table2': rows,
        'ablations': changed,
        'holds_up': comparisons.judge_conclusions(rows, changed),
        'hrf': table1.build_hrf(of['hrf']),
        'recipes': recipes.build(of['recipes']),
        'recipe_steps': recipes.build_steps(every),
        'external': recipes.build_external(of['external']),
        'run_times': speed.build_run_times(kept),
        'prediction': speed.read_checks(out / speed.CHECKS) if out else {},
        'speed': speed.build(speed.read_benchmarks(out / speed.FOLDER) if out else {}),
        'estimates': {
            'groups': estimates.build(own),
            'comparisons': comparisons.compare(own),
            'not_used': select_runs(in_tables, overridden)[1],
        },
        'repeated': sorted(run.label for run in repeated),
    }


def _galleries(groups: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> dict[str, dict[str, tuple[str, Path]]]:
    """Return pictures, (path in the results folder, file) by role, by key of a recipe or label of a test on other devices."""
    found = {}
    for group in recipes.plotted(groups):
        # A label alone is not enough: a run with settings of its own has the same.
        labels = set(group['records'])
        members = [run for run in runs if run.label in labels and run.record['config'] == group['config'] and not run.changed]
        if (pictures := recipes.pictures_of(members)) and len(found) < GALLERIES:
            found[group['key']] = pictures
    return found | {run.label: recipes.pictures_of([run]) for run in by_table(runs)['external']}


def _with_block(readme: Path, results: Mapping[str, Any], out: Path) -> str:
    text = read_text(readme)
    before, begin, rest = text.partition(README_BEGIN)
    _, end, after = rest.partition(README_END)
    if not end or text.count(README_BEGIN) != 1 or text.count(README_END) != 1:
        raise InputError(f'{readme}: expected one {README_BEGIN} and, after it, one {README_END}; add the two lines')
    link = Path(os.path.relpath(out.resolve(), readme.resolve().parent)).as_posix()
    block = render('readme.md', results).replace('](../../', '](').replace('](records/', f']({link}/records/')
    return f'{before}{begin}\n{block}{end}{after}'


def is_published(out: Path) -> bool:
    """Return whether a folder is a repository's ``docs/results``: only there links to configs and records are valid."""
    return Path(out).resolve().parts[-2:] == ('docs', 'results')


def default_readme(out: Path) -> Path | None:
    """Return ``<root>/README.md`` when ``out`` is ``<root>/docs/results`` and that README has the markers, else None."""
    readme = Path(out).resolve().parent.parent / 'README.md'
    return readme if is_published(out) and readme.is_file() and README_BEGIN in read_text(readme) else None


def write_report(runs: Sequence[Run], out: Path, readme: Path | None = None) -> tuple[dict[str, Any], list[Path]]:
    """Write every page and figure; remove those of an earlier report that have no runs now.

    Outside a repository's ``docs/results``, pages and sections without runs are left out.

    Args:
        runs: Runs in any order.
        out: The results folder, created when missing; its benchmarks and checks of predictions are shown.
        readme: A README whose marked block is replaced; None leaves READMEs alone.

    Returns:
        (content of ``results.json``, files written).

    Raises:
        InputError: Records contradict each other, a benchmark or check is invalid, the README lacks the markers or is not
            text, or a page's path is a folder. Nothing is written.
    """
    out, results = Path(out), build_results(runs, Path(out))
    kept, linked, groups = unique_scored(runs)[0], is_published(out), results['estimates']['groups']
    of = by_table(kept)
    rows = [run for run in kept if run.table == 'table2']
    drawn = figures.draw(rows, of['hrf'], results['ablations']['by_length'], groups)
    shown = _galleries(groups, kept) if linked else {}
    galleries = {key: {role: path for role, (path, _) in found.items()} for key, found in shown.items()}
    pages = {name: text for name in PAGES if (text := render_page(name, results, drawn, galleries, linked=linked))}
    embedded = {path: file.read_bytes() for found in shown.values() for path, file in found.values()}
    embedded |= {f'figures/{name}': png for name, png in drawn.items()}
    files = {out / name: text for name, text in pages.items()}
    files[out / HTML] = render_html(TITLE, pages, embedded)
    files[out / 'results.json'] = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + '\n'
    if readme is not None:
        readme = Path(readme).resolve() if Path(readme).is_symlink() else Path(readme)  # the link is to stay
        files[readme] = _with_block(readme, results, out)
    files |= {out / 'figures' / name: png for name, png in drawn.items()}
    without_runs = [out / 'figures' / name for name in figures.NAMES if name not in drawn]
    require_file_names([*files, *without_runs])
    without_runs += [
        path for name in PAGES if name not in pages and (path := out / name).is_file() and WRITTEN_BY in read_text(path)
    ]
    for path, content in files.items():
        write_bytes(path, content if isinstance(content, bytes) else content.encode())
    for path in without_runs:
        path.unlink(missing_ok=True)
    return results, list(files)
