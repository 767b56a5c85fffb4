"""The results as one HTML page that needs no network: `octfluid.evaluation.page.document.render_page`."""

from octfluid.evaluation.page.document import render_page

__all__ = ['render_page']
