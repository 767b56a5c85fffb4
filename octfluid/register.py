"""Importing this module registers every class of the package that configs name. It is the configs' `custom_imports`."""

import contextlib
import io
import warnings

# Advice that mmcv and mmseg give at import and at building, for set-ups other than this one: compiled operators (none is
# used here), one output channel for two classes, ignored labels in the cross-entropy average (there are none).
for advice in ('Fail to import', 'For binary segmentation', 'Default ``avg_non_ignore``', '`build_loss` would be deprecated'):
    warnings.filterwarnings('ignore', message=f'.*{advice}')

with contextlib.redirect_stdout(io.StringIO()):  # mmseg prints that an optional package is absent
    import mmseg.datasets  # noqa: F401

from octfluid.datasets import augment, fluid_dataset, hrf_dataset, sampler, standardize, transforms  # noqa: E402
from octfluid.engine import hooks, optim  # noqa: E402
from octfluid.metrics import fluid_metric  # noqa: E402
from octfluid.models import dice, losses, plain_unet, segmentor  # noqa: E402

__all__ = [
    'augment', 'dice', 'fluid_dataset', 'fluid_metric', 'hooks', 'hrf_dataset', 'losses', 'optim', 'plain_unet', 'sampler',
    'segmentor', 'standardize', 'transforms',
]  # fmt: skip
