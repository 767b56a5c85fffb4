#!/usr/bin/env python
"""Outline and measure fluid in scans: with an exported model, without torch, or with any config and its checkpoint."""

import sys
from pathlib import Path
from typing import Any

from octfluid.inference.cli import main
from octfluid.utils.cli import exit_status_of


def load_network(config: Path, checkpoint: Path, options: dict[str, Any]) -> Any:
    """Load a segmentor of MMSegmentation in the place of an exported model."""
    import octfluid.register  # noqa: F401  registers what configs name
    from octfluid.engine.network import NetworkModel

    return NetworkModel(config, checkpoint, options)


if __name__ == '__main__':
    sys.exit(exit_status_of(lambda: main(load_network)))
