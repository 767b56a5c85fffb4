"""Import these from `octfluid.records.provenance`."""

from octfluid.records.provenance import FULL, PENDING_START, SCRATCH, Start, file_label, in_order, source_iterations, thousands

__all__ = ['FULL', 'PENDING_START', 'SCRATCH', 'Start', 'file_label', 'in_order', 'source_iterations', 'thousands']
