"""octfluid: transfer learning for retinal fluid segmentation in OCT.

Importing this package is cheap: it loads neither torch nor mmseg. The modules that register datasets, losses, metrics and
hooks with MMSegmentation are named in the ``custom_imports`` of ``configs/_base_/default_runtime.py``.
"""

__version__ = '0.1.0'
