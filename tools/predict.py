#!/usr/bin/env python
"""Outline and measure fluid in scans, with an exported model; needs neither torch nor a config."""

from octfluid.inference.cli import console

if __name__ == '__main__':
    console()
