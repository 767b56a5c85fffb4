"""The results as one HTML page that needs no network: `octfluid.reporting.page.document.render_page`."""

from octfluid.reporting.page.document import render_page

__all__ = ['render_page']
