from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    """Whatever lies in this folder is a fault test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)
