"""octfluid: transfer learning for retinal fluid segmentation in OCT.

``from octfluid import Predictor`` outlines fluid in scans. Importing this package is cheap: it loads neither torch nor mmseg.
The modules that register datasets, losses, metrics and hooks with MMSegmentation are named in the ``custom_imports`` of
``configs/_base_/default_runtime.py``.
"""

import os

# ONNX Runtime from 1.29 on reports to its makers unless this is set before it is loaded: names of models, sizes, an identifier
# that it writes into the user's home. Nothing of a scan goes anywhere, unasked.
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')

__version__ = '0.1.0'


def __getattr__(name: str) -> object:
    """Load what predicts only when it is asked for."""
    if name in ('Prediction', 'Predictor', 'Settings', 'Spacing'):
        from octfluid.inference import predictor

        return getattr(predictor, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
