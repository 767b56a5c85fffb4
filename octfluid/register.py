"""Importing this module registers every class of the package that configs name. It is the configs' `custom_imports`.

It also has mmengine read checkpoints without running code (`octfluid.engine.checkpoint.use_safe_loading`).
"""

import contextlib
import io
import warnings

# Advice that mmcv and mmseg give at import and at building, for set-ups other than this one: compiled operators (none is
# used here), one output channel for two classes, ignored labels in the cross-entropy average (there are none).
for advice in (
    'Fail to import', 'For binary segmentation', 'Default ``avg_non_ignore``', '`build_loss` would be deprecated',
    'The draw is False',
):  # fmt: skip
    warnings.filterwarnings('ignore', message=f'.*{advice}')

with contextlib.redirect_stdout(io.StringIO()):  # mmseg prints that an optional package is absent
    import mmseg.datasets  # noqa: F401

from octfluid.datasets import augment, fluid_dataset, sampler, standardize  # noqa: E402, F401
from octfluid.engine import checkpoint, hooks, performance, record_hook  # noqa: E402, F401
from octfluid.metrics import fluid_metric  # noqa: E402, F401
from octfluid.models import losses, plain_unet, segmentor  # noqa: E402, F401

checkpoint.use_safe_loading()
