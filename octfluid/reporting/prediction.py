"""The page on the shipped model's warnings and measurements, from the checks in ``docs/results/prediction``."""

from pathlib import Path
from typing import Any

from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json

SCHEMA = 'octfluid.prediction-check/1'
FOLDER = 'prediction'
"""The checks are in this folder next to the pages."""
KINDS = ('guard', 'areas', 'int8')


def read_checks(folder: Path) -> dict[str, Any]:
    """Read ``guard.json``, ``areas.json`` and ``int8.json``, as far as they are there.

    Raises:
        InputError: A file is not a check of predictions.
    """
    paths = {kind: Path(folder) / f'{kind}.json' for kind in KINDS}
    found = {kind: read_json(path) for kind, path in paths.items() if path.exists()}
    for kind, content in found.items():
        if not isinstance(content, dict) or (content.get('schema'), content.get('kind')) != (SCHEMA, kind):
            raise InputError(f'{paths[kind]}: expected a check with "schema": "{SCHEMA}" and "kind": "{kind}"')
    return found
