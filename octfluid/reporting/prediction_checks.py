"""The page on the shipped model's warnings and measurements, from the checks in ``docs/results/prediction``."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from octfluid.records.schema import FileModel, validated
from octfluid.utils.text import read_json

FOLDER = 'prediction'
"""The checks are in this folder next to the pages."""


class _Check(FileModel):
    schema_: Literal['octfluid.prediction-check/1'] = Field(alias='schema')
    kind: Literal['guard', 'areas']


def read_checks(folder: Path) -> dict[str, Any]:
    """Return the checks in a folder that need not exist, by kind; an InputError names any other file."""
    found = {path: read_json(path) for path in sorted(Path(folder).glob('*.json'))}
    return {validated(_Check, content, str(path)).kind: content for path, content in found.items()}
