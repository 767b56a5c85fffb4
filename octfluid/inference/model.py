"""Exported models: what their files must say of themselves, and how scans go through them."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from octfluid.inference.external import wants_other_files
from octfluid.utils.errors import InputError, WorkError

PREFIX = 'octfluid.'
KEYS = ('version', 'classes', 'threshold', 'domain', 'weights_sha256', 'scores', 'licence')
"""What the metadata of a model file hold, each under its name with `PREFIX` before it."""
SHIPPED = 'octfluid-compact.onnx'
_INPUT, _OUTPUT = 'scan', 'probability'
_MOST_THREADS = 1024
_AT_ONCE = 4  # scans: memory grows with them, speed hardly does


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself.

    Attributes:
        version: Of octfluid when the file was written.
        classes: Names by label, the second of which the probability is of.
        threshold: A pixel is of that class where its probability is above this, in (0, 1).
        domain: What scans it was made for: ``device`` and ``scale``; ``limits``, a list of sentences; and, if known,
            ``look``, see `octfluid.inference.ood.Look`.
        weights_sha256: Digest of the checkpoint file that was exported.
        scores: Of the model, or of its cross-validated twins: a list of mappings.
        licence: Terms of the weights.
    """

    version: str
    classes: tuple[str, ...]
    threshold: float
    domain: dict[str, Any]
    weights_sha256: str
    scores: list[dict[str, Any]]
    licence: str

    def to_metadata(self) -> dict[str, str]:
        """Return the entries for the file's metadata."""
        values = dict(vars(self), classes=list(self.classes))
        return {
            PREFIX + key: value if isinstance(value, str) else json.dumps(value, sort_keys=True, allow_nan=False)
            for key, value in values.items()
        }

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], where: str) -> 'ModelInfo':
        """Read a file's metadata.

        Raises:
            InputError: An entry is missing or makes no sense.
        """
        missing = [key for key in KEYS if PREFIX + key not in metadata]
        if missing:
            raise InputError(
                f'{where}: not a model of octfluid, its metadata lack {", ".join(PREFIX + key for key in missing)}; expected a '
                'file that tools/export_onnx.py wrote'
            )
        text = {key: metadata[PREFIX + key] for key in KEYS}
        try:
            parsed = {key: json.loads(text[key]) for key in ('classes', 'threshold', 'domain', 'scores')}
        except (ValueError, RecursionError) as error:
            raise InputError(f'{where}: its metadata are damaged ({error}); export the model again') from error
        for key, kind in (('classes', list), ('domain', dict), ('scores', list)):
            if not isinstance(parsed[key], kind):
                raise InputError(
                    f'{where}: its metadata are damaged ({PREFIX}{key} is no {kind.__name__}); export the model again'
                )
        if not all(isinstance(name, str) for name in parsed['classes']):
            raise InputError(f'{where}: its metadata are damaged ({PREFIX}classes are no names); export the model again')
        info = cls(**{**text, **parsed, 'classes': tuple(parsed['classes'])})
        if len(info.classes) != 2 or not isinstance(info.threshold, float) or not 0 < info.threshold < 1:
            raise InputError(
                f'{where}: classes {info.classes} with threshold {info.threshold}; expected two classes and a threshold '
                'between 0 and 1'
            )
        return info


def _range_of(scans: np.ndarray) -> tuple[float, float]:
    """Return least and greatest gray value; raise InputError unless they are numbers, finite and within 0..255."""
    if scans.dtype.kind not in 'uif':
        raise InputError(f'scans hold {scans.dtype} values; expected gray values 0..255, whole or floating')
    low, high = float(scans.min()), float(scans.max())  # NaN if there is one
    if not np.isfinite([low, high]).all():
        raise InputError('scans hold NaN or infinite values; expected gray values 0..255')
    if low < 0 or high > 255:
        raise InputError(f'scans hold gray values from {low:g} to {high:g}; expected 0..255, scale them first')
    return low, high


def shipped_model() -> Path:
    """Return the path of the model that comes with the package."""
    # Not through the package's name: beside a folder called like it, Python finds that one too.
    return Path(__file__).resolve().parents[1] / 'assets' / SHIPPED


class ScanModel:
    """An exported model, ready to run.

    Args:
        path: A file that ``tools/export_onnx.py`` wrote; None for the one that comes with the package.
        threads: Threads of ONNX Runtime; 0 for one a core.

    Attributes:
        info: What the file says of itself.

    Raises:
        InputError: The file is missing, damaged, no model of octfluid, or wants weights from another file; or ``threads`` is no
            number of threads.

    Example:
        >>> ScanModel().probability(np.zeros((1, 496, 768), np.uint8)).shape
        (1, 496, 768)
    """

    def __init__(self, path: str | os.PathLike | None = None, threads: int = 0) -> None:
        self.path = shipped_model() if path is None else Path(path)
        if not self.path.is_file():
            raise InputError(f'{self.path}: no such model file; expected one that tools/export_onnx.py wrote')
        if not isinstance(threads, int) or not 0 <= threads <= _MOST_THREADS:  # of too many the system ends the process
            raise InputError(f'threads {threads!r}: expected a whole number from 0, one a core, to {_MOST_THREADS}')
        self.threads = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # what fails is said here
        options.enable_mem_pattern = False  # held twice the memory, 790 MB in place of 450, and is no faster
        try:
            content = self.path.read_bytes()
            other_files = wants_other_files(content)
        except PermissionError as error:
            raise InputError(f'{self.path}: no permission to read it') from error
        except ValueError as error:
            raise InputError(f'{self.path}: not an ONNX file, or cut short ({error}); export the model again') from error
        if other_files:
            raise InputError(f'{self.path}: wants weights from other files; refused, expected one file that holds them')
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=self._providers())
        except Exception as error:
            # The runtime has an exception of its own for every way in which a file can be wrong.
            reason = ' '.join(str(error).split())[:200]
            raise InputError(f'{self.path}: not a model that ONNX Runtime can load ({reason})') from error
        try:
            metadata = self.session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise InputError(f'{self.path}: its metadata are damaged ({error.reason}); export the model again') from error
        self.info = ModelInfo.from_metadata(metadata, str(self.path))
        names = [[item.name for item in side] for side in (self.session.get_inputs(), self.session.get_outputs())]
        if names != [[_INPUT], [_OUTPUT]]:
            raise InputError(f"{self.path}: has inputs and outputs {names}; expected '{_INPUT}' and '{_OUTPUT}'")

    def __reduce__(self) -> tuple[type, tuple[Path, int]]:
        """Pickle as what it is loaded from, for processes that are to use it, too."""
        return type(self), (self.path, self.threads)

    @staticmethod
    def _providers() -> list[str]:
        available = onnxruntime.get_available_providers()
        return [name for name in ('CUDAExecutionProvider', 'CPUExecutionProvider') if name in available]

    def probability(self, scans: np.ndarray) -> np.ndarray:
        """Return the probability of fluid of each pixel.

        Args:
            scans: Gray values 0..255, any real dtype, (N, H, W).

        Returns:
            float32, (N, H, W), in [0, 1].

        Raises:
            InputError: Another number of dimensions, a colour image, no pixels, fractions, or values that are not finite or
                not within 0..255.
            WorkError: The runtime fails, as for want of memory.
        """
        scans = np.asarray(scans)
        if scans.ndim != 3 or 0 in scans.shape:
            raise InputError(f'scans of shape {scans.shape}; expected (number, height, width), each at least 1')
        if scans.shape[2] in (3, 4) and scans.shape[1] > 4:
            raise InputError(
                f'scans of shape {scans.shape}: looks like one image in colour; expected gray scans, (number, height, width)'
            )
        low, high = _range_of(scans)
        if scans.dtype.kind == 'f' and 0 < high <= 1:
            raise InputError(f'scans hold gray values from {low:g} to {high:g}; expected 0..255, scale them first')
        found = np.empty(scans.shape, dtype=np.float32)
        for first in range(0, len(scans), _AT_ONCE):
            found[first : first + _AT_ONCE] = self._run(scans[first : first + _AT_ONCE])
        return found

    def stream(self, scans: Iterable[np.ndarray], *, scaled: bool = False) -> Iterator[np.ndarray]:
        """Return the probability of fluid of one scan after the other, holding a few of them at a time.

        Args:
            scans: Each (H, W), gray values 0..255, any real dtype; sizes may differ.
            scaled: They are known to be of the scale 0..255, however dark they are: fractions are as good as any.

        Yields:
            For each scan, in order, float32 (H, W), in [0, 1].

        Raises:
            InputError: As in `probability`, for the scan that is next, naming its place from 0; of fractions, once all scans so
                far hold nothing else.
            WorkError: As in `probability`.
        """
        held: list[np.ndarray] = []
        highest = 0.0
        for place, scan in enumerate(scans):
            scan = np.asarray(scan)
            if scan.ndim != 2 or 0 in scan.shape:
                raise InputError(f'scan {place} has shape {scan.shape}; expected (height, width), each at least 1')
            try:
                _, high = _range_of(scan)
            except InputError as error:
                raise InputError(f'scan {place}: {error}') from error
            highest = max(highest, high)
            # A volume may begin with empty frames; fractions in the first frame that is not are taken for what they are.
            if not scaled and scan.dtype.kind == 'f' and 0 < highest <= 1:
                raise InputError(f'scan {place} holds gray values up to {high:g}; expected 0..255, scale them first')
            if held and (len(held) == _AT_ONCE or held[0].shape != scan.shape):
                yield from self._run(np.stack(held))
                held = []
            held.append(scan)
        if held:
            yield from self._run(np.stack(held))

    def _run(self, scans: np.ndarray) -> np.ndarray:
        """Return the probabilities of a few scans, (N, H, W), all checked."""
        values = np.ascontiguousarray(scans[:, None], dtype=np.float32)
        try:
            found = self.session.run([_OUTPUT], {_INPUT: values})[0][:, 0]
        except Exception as error:
            # The runtime has an exception of its own for every way in which it can fail.
            reason = ' '.join(str(error).split())
            if 'allocate memory' in reason.lower() or isinstance(error, MemoryError):
                raise WorkError(
                    f'B-scans of shape {scans.shape} take more memory than there is; end other programs, or cut them'
                ) from error
            raise WorkError(f'{self.path}: failed on scans of shape {scans.shape} ({reason[:200]})') from error
        if found.shape != scans.shape:
            raise WorkError(f'{self.path}: gave {found.shape} for scans of shape {scans.shape}; export the model again')
        return found

    def mask(self, scans: np.ndarray) -> np.ndarray:
        """Return where fluid is: bool, (N, H, W); ``scans`` as in `probability`."""
        return self.probability(scans) > self.info.threshold
