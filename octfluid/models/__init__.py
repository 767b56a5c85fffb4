"""Losses, and whatever else MMSegmentation lacks. Importing this package registers them; it loads torch and mmseg."""

from octfluid.models.losses import SigmoidFocalLoss

__all__ = ['SigmoidFocalLoss']
