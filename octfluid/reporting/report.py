"""Every results page, ``results.json``, the figures and the results block of the README, from run records and benchmarks.

All of it is a pure function of those: no dates, no places, no order of reading.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from octfluid.records.runs import Run, check_comparable, unique_runs
from octfluid.records.starts import Start
from octfluid.reporting import (
    ablations,
    beside_published,
    comparisons,
    estimates,
    estimates_page,
    external,
    figures,
    folds,
    holds_up,
    hrf,
    prediction_page,
    recipe_steps,
    recipes,
    reliability_page,
    run_times,
    speed,
    summary,
    table1,
    table2,
)
from octfluid.reporting.markdown import mixed_notes, without_markup
from octfluid.reporting.page import render_page
from octfluid.reporting.speed import Benchmark
from octfluid.utils.atomic import require_file_names, write_bytes, write_text
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_text

SCHEMA = 'octfluid.results/1'
TABLES = ('table1', 'table2', 'ablations', 'hrf', 'recipes', 'external')
README_BEGIN, README_END = '<!-- results:begin -->', '<!-- results:end -->'
PAGES = {
    'table1.md': "Vessel networks on B-scans, unchanged (the paper's table 1)",
    'table2.md': 'Fluid scores and notes of table 2',
    'ablations.md': 'What the paper names or leaves open, and row 10 by length of source training',
    'estimates.md': 'Scores with intervals over patients and seeds, by protocol',
    'what_holds_up.md': "Which of the paper's conclusions hold up",
    'hrf.md': 'The vessel networks themselves',
    'recipes.md': 'Our own recipes',
    'recipe_steps.md': 'What each ingredient of the recipe is worth, on inner splits',
    'external.md': 'Our recipe on scans of other devices',
    'prediction.md': 'What predictions are worth: the warning of unlike scans, areas and volumes',
    'speed.md': 'How fast: training, scoring, B-scans, training samples',
}
"""The pages and what the README calls them."""
HTML = 'report.html'


def by_table(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return runs by the table they belong to; a table without runs has an empty list.

    The folds of leave-one-subject-out are in none of them: each is a part of a score, which `estimates` pools.
    """
    whole = [run for run in runs if folds.protocol_of(run.record['split']) != folds.LEAVE_ONE_OUT]
    return {name: [run for run in whole if run.table == name] for name in TABLES}


def scored(runs: Sequence[Run]) -> list[Run]:
    """Leave out trainings on all scans, which left none to score: their records say where shipped weights come from."""
    return [run for run in runs if run.record['images']]


def build_results(
    runs: Sequence[Run], benchmarks: Sequence[Benchmark] = (), checks: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Collect all numbers behind the pages.

    Args:
        runs: Runs in any order; repetitions are counted once.
        benchmarks: The published ones, in any order.
        checks: Output of `octfluid.reporting.prediction_page.read_checks`.

    Returns:
        The content of ``results.json``.

    Raises:
        InputError: Records contradict each other; the message names two of them.
    """
    every, repeated = unique_runs(scored(runs))
    kept = [run for run in every if not recipe_steps.is_inner(run)]
    # Few scans of many devices: their page has no intervals, and none are made here.
    own = [run for run in kept if run.table != 'external']
    of = by_table(kept)
    rows = table2.build(of['table2'])
    beside = ablations.build(of['ablations'], of['table2'])
    # The page of conclusions compares runs of both tables.
    check_comparable([run for _, run in table2.select(of['table2'])[0]] + ablations.select(of['ablations'])[0])
    return {
        'schema': SCHEMA,
        'table1': table1.build(of['table1']),
        'table2': rows,
        'ablations': beside,
        'holds_up': holds_up.build(rows, beside),
        'hrf': hrf.build(of['hrf']),
        'recipes': recipes.build(of['recipes']),
        'recipe_steps': recipe_steps.build(every),
        'external': external.build(of['external']),
        'run_times': run_times.build(kept),
        'prediction': dict(checks or {}),
        'speed': speed.build(benchmarks),
        'estimates': {
            'groups': estimates.build(own),
            'comparisons': comparisons.build(own),
            'not_used': estimates.not_used(own),
        },
        'repeated': sorted(run.label for run in repeated),
    }


def render_pages(results: dict[str, Any], drawn: Sequence[str] = ()) -> dict[str, str]:
    """Return the pages of `PAGES` by name.

    Args:
        results: Output of `build_results`.
        drawn: Names of the figures that there are.
    """
    pages = {
        'table1.md': table1.render(results['table1']),
        'table2.md': table2.render(results['table2'], drawn),
        'ablations.md': ablations.render(results['ablations'], drawn),
        'estimates.md': estimates_page.render(results['estimates']),
        'what_holds_up.md': holds_up.render(results['holds_up'], results['estimates']['comparisons']),
        'hrf.md': hrf.render(results['hrf'], drawn),
        'recipes.md': recipes.render(results['recipes'], beside_published.render(results['estimates']['groups'])),
        'recipe_steps.md': recipe_steps.render(results['recipe_steps']),
        'external.md': external.render(results['external']),
        'prediction.md': prediction_page.render(results['prediction']),
        'speed.md': speed.render(results['speed'], drawn),
    }
    return {name: without_markup(page) for name, page in pages.items()}


def render_readme_block(results: dict[str, Any], link: str) -> str:
    """Return what stands between the README's markers.

    Args:
        results: Output of `build_results`.
        link: The results folder relative to the README, with forward slashes.
    """
    own = recipes.summary_table(results['recipes'])
    text = summary.sentences(results) + '\n\n'
    text += f'Our own configs, scored the same way, in percent:\n\n{own}\n' if own else ''
    text += f'{honest}\n' if (honest := estimates_page.sentences(results['estimates'])) else ''
    text += (
        'Table 2 of the paper, fine-tuning on Duke DME, beside our runs: mIoU / mDice in percent; ours is mean ± SD over n '
        f'seeds, and "pending" has not been run. From scratch only row {table2.SCRATCH_ROW} is asked for.\n\n'
        f'{table2.render_short(results["table2"])}\n'
    )
    text += ''.join(f'{note}\n\n' for note in mixed_notes(text))
    for name, what in PAGES.items():
        text += f'* {what}: [{link}/{name}]({link}/{name})'
        if name == 'what_holds_up.md':
            verdicts = [
                f'{Start.of(key).short}: {holds_up.counts_line(judged)}'
                for key, judged in results['holds_up']['sections'].items()
            ]
            text += f' ({"; ".join(verdicts)})'
        text += '\n'
    text += f'* All of it as one page with plots and pictures, which opens without a network: [{link}/{HTML}]({link}/{HTML})\n'
    text += f'* All numbers: [{link}/results.json]({link}/results.json)\n'
    if times := run_times.render(results['run_times']):
        text += f'\nHow long the recorded runs took, on machines that other work shared in part:\n\n{times}'
    return without_markup(text)


def _readme_parts(path: Path) -> tuple[str, str]:
    """Return what precedes and what follows the README's results block, markers included."""
    text = read_text(path)
    if text.count(README_BEGIN) != 1 or text.count(README_END) != 1 or text.index(README_BEGIN) > text.index(README_END):
        raise InputError(f'{path}: expected one {README_BEGIN} and, after it, one {README_END}; add the two lines')
    return text[: text.index(README_BEGIN) + len(README_BEGIN)], text[text.index(README_END) :]


def default_readme(out: Path) -> Path | None:
    """Return ``<root>/README.md`` when ``out`` is ``<root>/docs/results`` and that README has the markers, else None."""
    out = Path(out).resolve()
    readme = out.parent.parent / 'README.md'
    if (out.parent.name, out.name) != ('docs', 'results') or not readme.is_file():
        return None
    return readme if README_BEGIN in read_text(readme) else None


def default_reliability(out: Path) -> Path | None:
    """Return ``reliability.md`` beside the folder of the pages if it is there and has the markers, else None."""
    page = Path(out).resolve().parent / 'reliability.md'
    return page if page.is_file() and README_BEGIN in read_text(page) else None


def _write_figures(folder: Path, drawn: Mapping[str, bytes]) -> None:
    """Write the figures there are, and remove those of an earlier report."""
    for name in figures.NAMES:
        if name in drawn:
            write_bytes(folder / name, drawn[name])
        else:
            (folder / name).unlink(missing_ok=True)


def write_report(
    runs: Sequence[Run],
    out: Path,
    readme: Path | None = None,
    benchmarks: Sequence[Benchmark] = (),
    checks: Mapping[str, Any] | None = None,
    faults: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[Path]]:
    """Write every page and figure.

    Args:
        runs: Runs in any order.
        out: The results folder, created when missing. Figures that an earlier report left there and that have no runs any more
            are removed.
        readme: A README whose marked block is replaced; None leaves READMEs alone.
        benchmarks: The published ones, in any order.
        checks: Output of `octfluid.reporting.prediction_page.read_checks`.
        faults: Output of `octfluid.reporting.reliability_page.read_faults`, for the marked block of the page of
            `default_reliability`.

    Returns:
        (content of ``results.json``, files written).

    Raises:
        InputError: Records contradict each other, the README lacks the markers or is no text, or a folder stands where a page
            goes; nothing is written.
    """
    out, results = Path(out), build_results(runs, benchmarks, checks)
    kept = [run for run in unique_runs(scored(runs))[0] if not recipe_steps.is_inner(run)]
    of = by_table(kept)
    paper = next(row['paper'] for row in results['table2']['rows'] if row['row'] == ablations.REFERENCE_ROW)
    drawn = figures.draw(of['table2'], of['hrf'], results['ablations']['by_length'], paper['Dice'], results['speed']['growth'])
    files = {out / name: page for name, page in render_pages(results, list(drawn)).items()}
    files[out / HTML] = render_page(results, kept)
    files[out / 'results.json'] = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + '\n'
    if readme is not None:
        readme = Path(readme).resolve() if Path(readme).is_symlink() else Path(readme)  # the link is to stay
        before, after = _readme_parts(readme)
        link = Path(os.path.relpath(out.resolve(), readme.resolve().parent)).as_posix()
        files[readme] = f'{before}\n{render_readme_block(results, link)}{after}'
    if faults and (page := default_reliability(out)):
        before, after = _readme_parts(page)
        files[page] = f'{before}\n{reliability_page.render_block(faults)}{after}'
    require_file_names([*files, *(out / 'figures' / name for name in figures.NAMES)])
    for path, content in files.items():
        write_text(path, content)
    _write_figures(out / 'figures', drawn)
    return results, [*files, *(out / 'figures' / name for name in drawn)]
