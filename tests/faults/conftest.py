from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    """Put all tests of this folder into the second tier."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
