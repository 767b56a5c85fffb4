#!/usr/bin/env python
"""Serve the web page that outlines and measures fluid in a scan."""

from octfluid.webapp.cli import console

if __name__ == '__main__':
    console()
