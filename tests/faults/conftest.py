from pathlib import Path

import pytest
from faults.crash import Warm


def pytest_collection_modifyitems(items):
    """Whatever lies in this folder is a fault test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope='session')
def warm(tmp_path_factory):
    """Starts tools from a process that has everything imported."""
    started = Warm(tmp_path_factory.mktemp('warm'))
    yield started
    started.close()
