"""Two sentences for the README: what was reproduced, how close, and with whose weights."""

from collections.abc import Mapping
from typing import Any

from octfluid.records.starts import FULL, SCRATCH, Start, thousands
from octfluid.reporting.markdown import percent, percent_spread, seeds

BEST_ROW = 10
WHOSE = {'hrf-own': 'vessel weights trained here', 'hrf-zoo': "the model zoo's vessel weights"}


def sentences(results: Mapping[str, Any]) -> str:
    """Return the two sentences, from the content of ``results.json``."""
    return f'{_fine_tuning(results["table2"])} {_zero_shot(results["table1"])}'


def _fine_tuning(table: Mapping[str, Any]) -> str:
    """Say how far table 2 has been reproduced: its best row from each kind of weights, the paper's weights or not."""
    row = next(row for row in table['rows'] if row['row'] == BEST_ROW)
    found = []
    for key, section in table['sections'].items():
        start = Start.of(key)
        if ours := section.get(str(BEST_ROW)):
            whose = 'random weights' if start == SCRATCH else f'{WHOSE[start.source]} for {start.length}'
            scores = f'{percent_spread(ours["mIoU"])} / {percent_spread(ours["mDice"])}'
            found.append(f'{scores} from {whose} ({seeds(ours)})')
    vessels = {Start.of(key): section for key, section in table['sections'].items() if key != SCRATCH.key and section}
    rows = {row for section in vessels.values() for row in section}
    whole = {row for start, section in vessels.items() if start.iterations == FULL for row in section}
    have = 'has' if len(rows) == 1 else 'have'
    text = f"Table 2: {len(rows)} of the paper's {len(table['rows'])} rows {have} been run from vessel weights"
    if rows - whole:
        text += f', {_length_of({start.beside_full for start in vessels}, len(whole))}'
    text += (
        f'; row {BEST_ROW}, its best, with mIoU / mDice of {percent(row["paper"]["mIoU"])} / {percent(row["paper"]["mDice"])}'
    )
    return text + (f', reaches {", ".join(found)}.' if found else ', has not been run.')


def _length_of(lengths: set[str], rows: int) -> str:
    """Say how long weights were trained of which not all had the paper's training, from which ``rows`` rows were run."""
    paper = f"the paper's {thousands(FULL)} iterations"
    if rows:
        return f'{rows} of them from weights trained for {paper}'
    if len(lengths) == 1 and lengths <= {'shorter', 'longer'}:
        return f'all trained for {"less" if lengths == {"shorter"} else "more"} than {paper}'
    return f'none of them known to have been trained for {paper}'


def _zero_shot(table: Mapping[str, Any]) -> str:
    """Say how far table 1 has been reproduced."""
    found = []
    for section in table['sections']:
        for head, files in section['heads'].items():
            paper, start = table['paper'][head], Start.of(section['start'])
            for ours in files:
                which = f' (`{ours["sha256"][:8]}`)' if len(files) > 1 else ''
                found.append(
                    f'{ours["measure"]:.4f} for {paper["title"]} on {section["images"]} scans with {WHOSE[start.source]} for '
                    f'{start.length}{which} (paper: {paper["measure"]:.4f} on 110)'
                )
    if not found:
        return 'Table 1, the same networks before fine-tuning, has not been run.'
    return f"Table 1, the networks before fine-tuning, by the paper's own measure: {'; '.join(found)}."
