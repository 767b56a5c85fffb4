"""Reader of ophthalmic tomography in DICOM: single and multi-frame, plain or compressed."""

import io
import logging
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from octfluid.io.gray import highest, to_gray, white_of
from octfluid.io.images import require_few_passes
from octfluid.io.scan import Frames, Scan, Spacing, raster_of, require_frames, require_size, spacing_from
from octfluid.utils.errors import InputError

SUFFIXES = ('.dcm', '.dicom')
MODALITY = 'OPT'
_STORAGE = {'1.2.840.10008.5.1.4.1.1.77.1.5.4': 'Ophthalmic Tomography', '1.2.840.10008.5.1.4.1.1.7': 'Secondary Capture'}
_PERSONAL = (
    'PatientName', 'PatientID', 'PatientBirthDate', 'PatientSex', 'PatientAge', 'StudyDate', 'SeriesDate',
    'AcquisitionDateTime', 'ContentDate', 'StudyTime', 'AccessionNumber', 'InstitutionName', 'ReferringPhysicianName',
    'StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID',
)  # fmt: skip
_SIDES = {'R': 'OD', 'L': 'OS'}


def read_dicom(path: Path) -> Scan:
    """Read a DICOM file; its frames are decoded one at a time.

    Args:
        path: The file. Its modality must be OPT, or it must be a secondary capture in gray.

    Raises:
        InputError: It is no DICOM, damaged, of another modality, in colour, or compressed in a way that is not read here.
    """
    import pydicom

    try:
        with _quiet():
            _refuse_deflated(path)
            dataset = pydicom.dcmread(path, defer_size='1 MB')
            return _scan(path, dataset)
    except (InputError, PermissionError):
        raise
    except pydicom.errors.InvalidDicomError as error:
        raise InputError(f'{path}: not a DICOM file, or cut short; expected ophthalmic tomography') from error
    except Exception as error:
        # pydicom raises what the damage leads to: AttributeError, ValueError, EOFError, NotImplementedError and more. Its
        # words are not repeated: they may quote what the file says of a person.
        raise InputError(f'{path}: damaged, or not an image ({type(error).__name__}); export it again') from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from printing values that it finds odd: they may be of persons."""
    logging.getLogger('pydicom').setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def _refuse_deflated(path: Path) -> None:
    """Refuse a file that is packed as a whole: pydicom unpacks it whatever it comes to, and images are never packed so."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if read_file_meta_info(path).get('TransferSyntaxUID') == DeflatedExplicitVRLittleEndian:
        raise InputError(
            f'{path}: packed as a whole (deflated), which is not read here; export it with compressed frames or plain'
        )


def _scan(path: Path, dataset: Any) -> Scan:
    modality, kind = dataset.get('Modality', ''), str(dataset.get('SOPClassUID', ''))
    if 'Rows' not in dataset or 'PixelData' not in dataset:
        raise InputError(f'{path}: a DICOM file without an image; expected ophthalmic tomography')
    if modality != MODALITY and not (_STORAGE.get(kind) == 'Secondary Capture' and modality in ('', 'OT', 'SC')):
        raise InputError(f'{path}: its modality is {modality or "not given"}; expected {MODALITY}, ophthalmic tomography')
    if dataset.get('SamplesPerPixel', 1) != 1:
        raise InputError(f'{path}: an image in colour ({dataset.get("PhotometricInterpretation")}); expected gray B-scans')
    require_size(dataset.Rows, dataset.Columns, str(path))
    number = int(dataset.get('NumberOfFrames', 1) or 1)
    require_frames(number, str(path))
    _require_plain_gray(path, dataset, number)
    inverted = dataset.get('PhotometricInterpretation') == 'MONOCHROME1'
    white = float((1 << int(dataset.get('BitsStored', 8))) - 1)  # a word of 16 bits may hold 12, or any fewer

    def read(place: int) -> np.ndarray:
        gray = to_gray(_frame(path, dataset, place), white)
        return 255 - gray if inverted else gray

    first = _frame(path, dataset, 0)  # whatever is wrong with its compression shows now
    if first.dtype != np.uint8 and not inverted:  # of the bits that it says it stores, all values may use fewer
        white = min(white, white_of(first.dtype, max(float(_frame(path, dataset, place).max()) for place in range(number))))
    measures = _measures(dataset)
    notes = ('its DICOM modality is not OPT but a secondary capture',) if modality != MODALITY else ()
    return Scan(
        path,
        Frames(number, read),
        is_volume=number > 1,
        spacing=measures,
        laterality=_laterality(dataset),
        device=' '.join(str(dataset.get(key)) for key in ('Manufacturer', 'ManufacturerModelName') if dataset.get(key)) or None,
        identifiers={key: str(dataset.get(key)) for key in _PERSONAL if dataset.get(key)},
        notes=notes,
        order=_order(dataset),
    )


def _require_plain_gray(path: Path, dataset: Any, number: int) -> None:
    """Refuse numbers that are no gray values as they stand, and a file with more frames than it says."""
    photometric = dataset.get('PhotometricInterpretation')
    if photometric not in (None, 'MONOCHROME1', 'MONOCHROME2'):
        raise InputError(f'{path}: its numbers are {photometric}, no gray values; expected MONOCHROME1 or MONOCHROME2')
    stored, high = int(dataset.get('BitsStored', 8)), int(dataset.get('HighBit', dataset.get('BitsStored', 8) - 1))
    if high != stored - 1:
        raise InputError(
            f'{path}: its values have {stored} bits of which the highest is number {high}; expected {stored - 1}, as the '
            'standard has it; export it again'
        )
    syntax = dataset.file_meta.get('TransferSyntaxUID')
    frame = dataset.Rows * dataset.Columns * int(dataset.get('BitsAllocated', 8)) // 8
    if syntax is not None and not syntax.is_encapsulated and len(dataset.PixelData) >= (number + 1) * frame > 0:
        raise InputError(
            f'{path}: says that it has {number} B-scans, and holds {len(dataset.PixelData) // frame}; export it again'
        )


def _frame(path: Path, dataset: Any, place: int) -> np.ndarray:
    """Return the values of a frame, checked."""
    from pydicom.pixels import pixel_array

    try:
        with _quiet():
            _check_frame(path, dataset, place)
            values = pixel_array(dataset, index=place, raw=True)
            highest(values, str(path))
            return values
    except InputError:
        raise
    except Exception as error:
        # As above; for want of a decoder it is a RuntimeError or a NotImplementedError.
        syntax = getattr(dataset.file_meta, 'TransferSyntaxUID', None)
        reason = textwrap.shorten(str(error), 120, placeholder=' ...')
        raise InputError(
            f'{path}: frame {place} cannot be decoded, {getattr(syntax, "name", syntax)} ({reason}); if a decoder is missing, '
            "install it with pip install 'octfluid[io]'"
        ) from error


def _check_frame(path: Path, dataset: Any, place: int) -> None:
    """Refuse a compressed frame that says itself that it is of another size: decoders allocate what it says."""
    from pydicom.encaps import get_frame

    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    tables = [dataset.get(f'ExtendedOffsetTable{which}') for which in ('', 'Lengths')]
    number = int(dataset.get('NumberOfFrames', 1) or 1)
    frame = io.BytesIO(
        get_frame(dataset.PixelData, place, extended_offsets=tables if all(tables) else None, number_of_frames=number)
    )
    require_few_passes(frame, path)
    frame.seek(0)
    try:
        with Image.open(frame, formats=('JPEG', 'JPEG2000')) as image:
            width, height = image.size
    except UnidentifiedImageError:  # compressed in another way, in which a frame does not say its size
        return
    if (height, width) != (dataset.Rows, dataset.Columns):
        raise InputError(
            f'{path}: frame {place} is compressed from {height}x{width} pixels; expected {dataset.Rows}x{dataset.Columns}, as '
            'the file says; export it again'
        )


def _groups(dataset: Any) -> list[Any]:
    """Return the shared functional groups, then those of single frames, then the file itself: where measures may stand."""
    shared = list(dataset.get('SharedFunctionalGroupsSequence') or [])
    return [*shared, *(dataset.get('PerFrameFunctionalGroupsSequence') or []), dataset]


def _measures(dataset: Any) -> Spacing | None:
    for group in _groups(dataset):
        for holder in (*(group.get('PixelMeasuresSequence') or []), group):
            if spacing := holder.get('PixelSpacing'):
                rows, columns = map(float, spacing)
                # The thickness of a slice is no distance between slices.
                between = raster_of(_positions(dataset)).distance or float(holder.get('SpacingBetweenSlices') or 0) or None
                return spacing_from(rows, columns, between)
    return None


def _positions(dataset: Any) -> list[list[float] | None]:
    """Return where each frame lies in space; None for one of which the file does not say."""
    found = []
    for group in dataset.get('PerFrameFunctionalGroupsSequence') or []:
        places = [holder.get('ImagePositionPatient') for holder in group.get('PlanePositionSequence') or []]
        found.append(list(map(float, places[0])) if places and places[0] else None)
    return found


def _order(dataset: Any) -> int | None:
    try:
        return int(dataset.get('InstanceNumber'))
    except (TypeError, ValueError):
        return None


def _laterality(dataset: Mapping[str, Any]) -> str | None:
    sides = [dataset.get('ImageLaterality'), dataset.get('Laterality')]
    for group in _groups(dataset):
        sides += [holder.get('FrameLaterality') for holder in group.get('FrameAnatomySequence') or []]
    return next((_SIDES[side] for side in sides if side in _SIDES), None)
