"""Every results page, ``results.json``, the figures and the results block of the README, from run records and benchmarks.

All of it is a pure function of those: no dates, no places, no order of reading.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from octfluid.records.provenance import SCRATCH, Start
from octfluid.records.runs import Run, check_comparable, unique_runs
from octfluid.reporting import (
    ablations,
    benchmarks,
    conclusions,
    estimates,
    figures,
    folds,
    prediction,
    recipes,
    table1,
    table2,
)
from octfluid.reporting.formats import NOT_RUN, estimate, mark, percent, seeds, spread
from octfluid.reporting.pages import Page, config_link, records_link, render_html, render_markdown, safe_markdown
from octfluid.utils.atomic import require_file_names, write_bytes, write_text
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


def by_table(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return runs by the table they belong to; a table without runs has an empty list.

    The folds of leave-one-subject-out are in no table: each is a part of a score, which `estimates` pools.
    """
    whole = [run for run in runs if folds.protocol_of(run.record['split']) != folds.LEAVE_ONE_OUT]
    return {name: [run for run in whole if run.table == name] for name in TABLES}


def scored(runs: Sequence[Run]) -> list[Run]:
    """Leave out trainings on all scans, which leave no scan to score."""
    return [run for run in runs if run.record['images']]


def build_results(
    runs: Sequence[Run], benchmarks_of: Mapping[str, Mapping[str, Any]] | None = None, checks: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Collect all numbers behind the pages.

    Args:
        runs: Runs in any order; repetitions are counted once.
        benchmarks_of: Output of `octfluid.reporting.benchmarks.read_benchmarks`.
        checks: Output of `octfluid.reporting.prediction.read_checks`.

    Returns:
        The content of ``results.json``.

    Raises:
        InputError: Records contradict each other; the message names two of them.
    """
    every, repeated = unique_runs(scored(runs))
    kept = [run for run in every if not folds.is_inner(run)]
    own = [run for run in kept if run.table != 'external']  # few scans of many devices, without intervals
    of = by_table(kept)
    rows = table2.build(of['table2'])
    changed = ablations.build(of['ablations'], of['table2'])
    # The page of conclusions compares runs of both tables.
    check_comparable([run for _, run in table2.select(of['table2'])[0]] + ablations.select(of['ablations'])[0])
    return {
        'schema': SCHEMA,
        'table1': table1.build(of['table1']),
        'table2': rows,
        'ablations': changed,
        'holds_up': conclusions.build(rows, changed),
        'hrf': table1.build_hrf(of['hrf']),
        'recipes': recipes.build(of['recipes']),
        'recipe_steps': recipes.build_steps(every),
        'external': recipes.build_external(of['external']),
        'run_times': benchmarks.build_run_times(kept),
        'prediction': dict(checks or {}),
        'speed': benchmarks.build(benchmarks_of or {}),
        'estimates': {
            'groups': estimates.build(own),
            'comparisons': estimates.compare(own),
            'not_used': estimates.not_used(own),
        },
        'repeated': sorted(run.label for run in repeated),
    }


def make_pages(
    results: Mapping[str, Any], drawn: Sequence[str] = (), galleries: Mapping[str, Mapping[str, str]] | None = None
) -> list[Page]:
    """Return the pages of `PAGES`.

    Args:
        results: Output of `build_results`.
        drawn: Names of the figures that there are.
        galleries: As ``pictures`` of `octfluid.reporting.recipes.page`.
    """
    return [
        table1.page(results['table1'], results['hrf'], drawn),
        table2.page(results['table2'], drawn),
        ablations.page(results['ablations'], drawn),
        recipes.page(results, drawn, galleries),
        conclusions.page(results['holds_up'], results['estimates']['comparisons']),
        prediction.page(results['prediction']),
        benchmarks.page(results['speed'], results['run_times']),
    ]


def _galleries(groups: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> dict[str, dict[str, tuple[str, Path]]]:
    """Return the pictures of our complete recipes by key of the group and role: (path in the results folder, file)."""
    found = {}
    for group in recipes.plotted(groups):
        # A label alone is not enough: a run with settings of its own has the same.
        labels = set(group['records'])
        members = [run for run in runs if run.label in labels and run.record['config'] == group['config'] and not run.changed]
        if (pictures := recipes.pictures_of(members)) and len(found) < GALLERIES:
            found[group['key']] = pictures
    return found


def _short_scores(ours: Mapping[str, Any]) -> str:
    return f'{spread(ours["mIoU"])} / {spread(ours["mDice"])}'


def make_readme_page(results: Mapping[str, Any]) -> Page:
    """Return what the README shows of `build_results`: table 2 and, with intervals, our own recipes; titles do not count."""
    page, table = Page('README.md', ''), results['table2']
    best = table2.best_section(table)
    section = table['sections'].get(best, {})
    whose = Start.of(best).short if best else 'from HRF weights'
    page.text(
        f'Table 2, fine-tuning on Duke DME: mIoU / mDice in percent, ours mean ± SD over n seeds {whose}; the paper started '
        'from weights of 40 000 iterations. Below, our own recipes with 95 % intervals over patients and seeds.'
    )
    rows = []
    for row in table['rows']:
        ours = section.get(str(row['row']))
        cells = [_short_scores(ours), records_link(ours['records'], seeds(ours))] if ours else [NOT_RUN, '-']
        published = f'{percent(row["paper"]["mIoU"])} / {percent(row["paper"]["mDice"])}'
        rows.append([str(row['row']), config_link(row['config'], row['setting']), published, *cells])
        if best and (ours := table['sections'].get(SCRATCH.key, {}).get(str(row['row']))):
            scratch = [f'row {row["row"]} from random weights', '-', _short_scores(ours)]
            rows.append(['', *scratch, records_link(ours['records'], seeds(ours))])
    if reference := table['reference']:
        scores = f'{percent(reference["mIoU"])} / {percent(reference["mDice"])}'
        rows.append(['', 'background everywhere', '-', scores, '-'])
    for group in recipes.plotted(results['estimates']['groups']):
        scores = ' / '.join(estimate(group['measures'][name], '%') for name in ('miou', 'mdice'))
        name = f'{config_link(group["config"])}, {group["protocol"]}: fluid Dice {estimate(group["measures"]["dice"], "%")}'
        n = f'n = {len(group["seeds"])}{mark(group)}'
        rows.append(['own', name, '-', scores, records_link(group['records'], n)])
    page.table(['row', 'setting', 'paper', 'ours', 'records'], rows)
    return page


def render_readme_block(results: Mapping[str, Any], link: str) -> str:
    """Return what stands between the README's markers.

    Args:
        results: Output of `build_results`.
        link: The results folder relative to the README, with forward slashes.
    """
    text = safe_markdown(render_markdown(make_readme_page(results))).split('-->\n\n', 1)[1]
    return text.replace('](../../', '](').replace('](records/', f']({link}/records/')


def _readme_parts(path: Path) -> tuple[str, str]:
    """Return what precedes and what follows the README's results block, markers included."""
    text = read_text(path)
    if text.count(README_BEGIN) != 1 or text.count(README_END) != 1 or text.index(README_BEGIN) > text.index(README_END):
        raise InputError(f'{path}: expected one {README_BEGIN} and, after it, one {README_END}; add the two lines')
    return text[: text.index(README_BEGIN) + len(README_BEGIN)], text[text.index(README_END) :]


def is_published(out: Path) -> bool:
    """Return whether a folder is a repository's ``docs/results``, from which links to configs and records lead somewhere."""
    out = Path(out).resolve()
    return (out.parent.name, out.name) == ('docs', 'results')


def default_readme(out: Path) -> Path | None:
    """Return ``<root>/README.md`` when ``out`` is ``<root>/docs/results`` and that README has the markers, else None."""
    readme = Path(out).resolve().parent.parent / 'README.md'
    return readme if is_published(out) and readme.is_file() and README_BEGIN in read_text(readme) else None


def write_report(
    runs: Sequence[Run],
    out: Path,
    readme: Path | None = None,
    benchmarks_of: Mapping[str, Mapping[str, Any]] | None = None,
    checks: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[Path]]:
    """Write every page and figure.

    Args:
        runs: Runs in any order.
        out: The results folder, created when missing. Figures of an earlier report without runs now are removed.
        readme: A README whose marked block is replaced; None leaves READMEs alone.
        benchmarks_of: Output of `octfluid.reporting.benchmarks.read_benchmarks`.
        checks: Output of `octfluid.reporting.prediction.read_checks`.

    Returns:
        (content of ``results.json``, files written).

    Raises:
        InputError: Records contradict each other, the README lacks the markers or is no text, or a folder is in the place of
            a page; nothing is written.
    """
    out, results = Path(out), build_results(runs, benchmarks_of, checks)
    kept = [run for run in unique_runs(scored(runs))[0] if not folds.is_inner(run)]
    of, linked = by_table(kept), is_published(out)
    drawn = figures.draw(of['table2'], of['hrf'], results['ablations']['by_length'], results['estimates']['groups'])
    shown = _galleries(results['estimates']['groups'], kept) if linked else {}
    shown |= {run.label: recipes.pictures_of([run]) for run in of['external']} if linked else {}
    galleries = {key: {role: path for role, (path, _) in found.items()} for key, found in shown.items()}
    pages = make_pages(results, list(drawn), galleries)
    embedded = {path: file.read_bytes() for found in shown.values() for path, file in found.values()}
    embedded |= {f'figures/{name}': png for name, png in drawn.items()}
    files = {out / page.name: render_markdown(page, linked) for page in pages}
    files[out / HTML] = render_html(TITLE, pages, embedded, linked)
    files[out / 'results.json'] = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + '\n'
    if readme is not None:
        readme = Path(readme).resolve() if Path(readme).is_symlink() else Path(readme)  # the link is to stay
        before, after = _readme_parts(readme)
        link = Path(os.path.relpath(out.resolve(), readme.resolve().parent)).as_posix()
        files[readme] = f'{before}\n{render_readme_block(results, link)}{after}'
    require_file_names([*files, *(out / 'figures' / name for name in figures.NAMES)])
    for path, content in files.items():
        write_text(path, content)
    for name in figures.NAMES:
        if name in drawn:
            write_bytes(out / 'figures' / name, drawn[name])
        else:
            (out / 'figures' / name).unlink(missing_ok=True)
    return results, [*files, *(out / 'figures' / name for name in drawn)]
