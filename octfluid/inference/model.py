"""Exported models: their metadata, and inference with ONNX Runtime."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from octfluid.utils.errors import InputError, WorkError

PREFIX = 'octfluid.'
KEYS = ('version', 'classes', 'threshold', 'domain', 'weights_sha256', 'scores', 'licence')
"""Entries of the metadata of a model file, each with `PREFIX` before its name."""
SHIPPED = 'octfluid-compact.onnx'
_PARSED = dict(classes=tuple, threshold=float, domain=dict, scores=list)  # entries in JSON; the others are text
_PROVIDERS = ('CUDAExecutionProvider', 'CPUExecutionProvider')
_AT_ONCE = 4  # scans in a batch: more take more memory and are hardly faster


@dataclass(frozen=True)
class ModelInfo:
    """The metadata of a model file."""

    version: str  # version of octfluid that wrote the file
    classes: tuple[str, ...]  # names by label; the model gives the probability of the second
    threshold: float  # for the second class, in (0, 1)
    domain: dict[str, Any]  # ``device``, ``scale``, ``limits`` (sentences)
    weights_sha256: str  # of the exported checkpoint file
    scores: list[dict[str, Any]]  # of the model, or of networks of its cross-validation
    licence: str  # of the weights

    def to_metadata(self) -> dict[str, str]:
        """Return the entries for the file's metadata."""
        values = dict(vars(self), classes=list(self.classes))
        return {
            PREFIX + key: value if isinstance(value, str) else json.dumps(value, sort_keys=True, allow_nan=False)
            for key, value in values.items()
        }

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], where: str) -> 'ModelInfo':
        """Read the metadata of the file ``where``; InputError if an entry is missing or damaged."""
        try:
            values = {key: metadata[PREFIX + key] for key in KEYS}
            values |= {key: kind(json.loads(values[key])) for key, kind in _PARSED.items()}
            if len(values['classes']) != 2 or not 0 < values['threshold'] < 1:
                raise ValueError('expected two classes, and a threshold between 0 and 1')
        except KeyError as error:
            raise InputError(f'{where}: has no metadata {error}; expected a file from tools/export_onnx.py') from error
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f'{where}: has damaged metadata ({error}); export the model again') from error
        return cls(**values)


def shipped_model() -> Path:
    """Return the path of the model that comes with the package."""
    # Not by the package's name: Python may find another folder of that name in the current folder.
    return Path(__file__).resolve().parents[1] / 'assets' / SHIPPED


class ScanModel:
    """An exported model, ready to run.

    Args:
        path: A file that ``tools/export_onnx.py`` wrote; None for the one that comes with the package.
        threads: Threads of ONNX Runtime; 0 for one a core.

    Attributes:
        info: The metadata of the file.
        provenance: What the manifest of a prediction says of the model besides its file.

    Raises:
        InputError: The file is missing, damaged, not a model of octfluid, or without its weights.

    Example:
        >>> ScanModel().probability(np.zeros((1, 496, 768), np.uint8)).shape
        (1, 496, 768)
    """

    def __init__(self, path: str | os.PathLike | None = None, threads: int = 0) -> None:
        self.path = shipped_model() if path is None else Path(path)
        self.provenance: dict[str, str] = {}
        if not self.path.is_file():
            raise InputError(f'{self.path}: no such model file; expected a file from tools/export_onnx.py')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # errors are reported here
        options.enable_mem_pattern = False  # it takes 790 MB instead of 450, and is not faster
        try:
            # From bytes: a model without a path cannot read weights from other files.
            content = self.path.read_bytes()
            providers = [name for name in _PROVIDERS if name in onnxruntime.get_available_providers()]
            self.session = onnxruntime.InferenceSession(content, options, providers=providers)
            metadata = self.session.get_modelmeta().custom_metadata_map
        except Exception as error:
            # The runtime raises a different exception for each fault of a file.
            reason = ' '.join(str(error).split())[:200]
            raise InputError(f'{self.path}: ONNX Runtime cannot load it ({reason}); export the model again') from error
        self.info = ModelInfo.from_metadata(metadata, str(self.path))

    def probability(self, scans: np.ndarray) -> np.ndarray:
        """Return the probability of fluid of each pixel.

        Args:
            scans: Gray values 0..255, any real dtype, (N, H, W).

        Returns:
            float32, (N, H, W), in [0, 1].

        Raises:
            InputError: Another shape, such as a colour image, values outside of 0..255, or values from 0 to 1.
            WorkError: The runtime fails, for example without memory.
        """
        scans = np.asarray(scans)
        colour = scans.ndim == 3 and scans.shape[2] in (3, 4) and scans.shape[1] > 4
        if scans.ndim != 3 or 0 in scans.shape or colour:
            raise InputError(f'scans of shape {scans.shape}; expected gray scans, (number, height, width)')
        if scans.dtype.kind == 'f' and 0 < scans.max() <= 1:
            raise InputError(f'scans have gray values up to {scans.max():g}; expected 0..255, scale them first')
        return np.stack(list(self.stream(scans)))

    def stream(self, scans: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the probability, float32 (H, W), of each scan (H, W); the model processes a few at a time.

        Arguments and errors are those of `probability`, except that values from 0 to 1 are accepted.
        """
        for start in range(0, len(scans), _AT_ONCE):
            batch = np.stack(scans[start : start + _AT_ONCE])
            if batch.dtype.kind not in 'uif':
                raise InputError(f'scans have {batch.dtype} values; expected gray values 0..255, whole or floating')
            low, high = float(batch.min()), float(batch.max())
            if not (low >= 0 and high <= 255):  # false of NaN, too
                raise InputError(f'scans have gray values from {low:g} to {high:g}; expected 0..255, scale them first')
            yield from self._run(batch)

    def _run(self, scans: np.ndarray) -> np.ndarray:
        values = np.ascontiguousarray(scans[:, None], dtype=np.float32)
        try:
            return self.session.run(['probability'], {'scan': values})[0][:, 0]
        except Exception as error:
            reason = ' '.join(str(error).split())[:200]
            raise WorkError(f'{self.path}: failed on scans of shape {scans.shape} ({reason})') from error

    def mask(self, scans: np.ndarray) -> np.ndarray:
        """Return where fluid is: bool, (N, H, W); ``scans`` as in `probability`."""
        return self.probability(scans) > self.info.threshold
