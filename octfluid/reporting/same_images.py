"""Import these from `octfluid.metrics.measures`."""

from octfluid.metrics.measures import Scored, check_same_images, per_image, per_subject, scored

__all__ = ['Scored', 'check_same_images', 'per_image', 'per_subject', 'scored']
