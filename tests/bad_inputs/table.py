"""The table of bad inputs, and `docs/errors.md`, which ``python tests/bad_inputs/table.py`` makes from it."""

import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / 'docs' / 'errors.md'
GROUPS = {
    'scans': 'Scans, models and the page',
    'data': 'Data sets',
    'training': 'Training, scoring, sweeps, export',
    'results': 'Records, pages and scripts',
}
HEAD = """# What is refused, and how

<!-- written by tests/bad_inputs/table.py from tests/bad_inputs/*.toml; do not edit -->

Every line below is printed by the command above it: `tests/test_bad_inputs.py` runs them all, and checks the line, the exit
status, and that nothing is left behind. Status 2: arguments or input that cannot be used, nothing was done; 1: work failed, or
some of several inputs could not be used and the others are done; 130 and 143: interrupted (Ctrl-C, SIGTERM). The files are
small broken ones that the test makes; `good.py` is a config that works. Anything else, with a traceback, is a bug: please
report it.
"""


def read_table():
    """Return the cases of each group: mappings with what, command, status, and stderr (lines)."""
    return {name: tomllib.loads((HERE / f'{name}.toml').read_text(encoding='utf-8'))['case'] for name in GROUPS}


def render(table):
    """Return the page."""
    parts = [HEAD]
    for name, title in GROUPS.items():
        parts.append(f'\n## {title}\n')
        for case in table[name]:
            text = '\n'.join(f'    {line}' for line in (f'$ {case["command"]}', *case['stderr'], f'# status {case["status"]}'))
            parts.append(f'\n**{case["what"]}**\n\n{text}\n')
    return ''.join(parts)


if __name__ == '__main__':
    PAGE.write_text(render(read_table()), encoding='utf-8')
