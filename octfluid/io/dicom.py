"""Reader of ophthalmic tomography in DICOM: single and multi-frame, plain or compressed."""

from pathlib import Path
from typing import Any

import numpy as np

from octfluid.io.scan import Scan, raster_of, reading, require_volume, spacing_from, to_gray
from octfluid.utils.errors import InputError

SUFFIXES = ('.dcm', '.dicom')
MODALITY = 'OPT'
_SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
_PERSONAL = (
    'PatientName', 'PatientID', 'PatientBirthDate', 'PatientSex', 'PatientAge', 'StudyDate', 'SeriesDate',
    'AcquisitionDateTime', 'ContentDate', 'StudyTime', 'AccessionNumber', 'InstitutionName', 'ReferringPhysicianName',
    'StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID',
)  # fmt: skip
_SIDES = {'R': 'OD', 'L': 'OS'}
_FRAMES, _DIRECTION = 'PerFrameFunctionalGroupsSequence', ('PlaneOrientationSequence', 'ImageOrientationPatient')


def read_dicom(path: Path) -> Scan:
    """Read a DICOM file of modality OPT, or a secondary capture in gray."""
    import pydicom
    from pydicom.pixels import pixel_array

    dataset = pydicom.dcmread(path)
    number = _check(path, dataset)
    _require_sound_jpeg(path, dataset, number)
    # One decoder, whichever are installed: they differ by a gray level.
    plugin = 'pillow' if dataset.file_meta.get('TransferSyntaxUID') == pydicom.uid.JPEGBaseline8Bit else ''
    with reading(path):  # errors about pixels name no person
        values = [pixel_array(dataset, index=place, raw=True, decoding_plugin=plugin) for place in range(number)]
    grays = to_gray(values, path)  # by the values, not by the header's number of bits
    if dataset.get('PhotometricInterpretation') == 'MONOCHROME1':
        grays = [255 - gray for gray in grays]
    order = str(dataset.get('InstanceNumber', ''))
    rows, columns = _first(dataset, 'PixelMeasuresSequence', 'PixelSpacing') or (None, None)
    starts, ends = _places(dataset, (dataset.Columns - 1) * float(columns or 0))
    # Slice thickness is not the distance between slices.
    raster = raster_of(starts, ends, _first(dataset, 'PixelMeasuresSequence', 'SpacingBetweenSlices'))
    return Scan(
        path,
        grays,
        is_volume=number > 1,
        spacing=spacing_from(rows, columns, raster.distance),
        raster=raster,
        laterality=_laterality(dataset),
        device=' '.join(str(dataset.get(key)) for key in ('Manufacturer', 'ManufacturerModelName') if dataset.get(key)) or None,
        identifiers={key: str(dataset.get(key)) for key in _PERSONAL if dataset.get(key)},
        notes=('its DICOM modality is not OPT but a secondary capture',) if dataset.get('Modality') != MODALITY else (),
        order=int(order) if order.isdecimal() else None,
        ends=(starts[0], ends and ends[0]),
    )


def _check(path: Path, dataset: Any) -> int:
    """Return the number of frames; refuse (InputError) other modalities, and values that are not gray values."""
    modality, photometric = dataset.get('Modality', ''), dataset.get('PhotometricInterpretation', 'MONOCHROME2')
    if 'Rows' not in dataset or 'PixelData' not in dataset:
        raise InputError(f'{path}: has no image; expected ophthalmic tomography')
    if modality != MODALITY and not (dataset.get('SOPClassUID') == _SECONDARY_CAPTURE and modality in ('', 'OT', 'SC')):
        raise InputError(f'{path}: has modality {modality or "unknown"}; expected {MODALITY}, ophthalmic tomography')
    if dataset.get('SamplesPerPixel', 1) != 1 or photometric not in ('MONOCHROME1', 'MONOCHROME2'):
        raise InputError(f'{path}: has {photometric} pixels; expected gray values, MONOCHROME1 or MONOCHROME2')
    number, bits = int(dataset.get('NumberOfFrames', 1) or 1), int(dataset.get('BitsAllocated', 8))
    require_volume(path, number, dataset.Rows, dataset.Columns, bits // 8)
    stored = int(dataset.get('BitsStored', 8))
    if int(dataset.get('HighBit', stored - 1)) != stored - 1:
        raise InputError(f'{path}: has HighBit {dataset.HighBit} with BitsStored {stored}; expected HighBit {stored - 1}')
    syntax, frame = dataset.file_meta.get('TransferSyntaxUID'), dataset.Rows * dataset.Columns * bits // 8
    if syntax is not None and not syntax.is_encapsulated and len(dataset.PixelData) >= (number + 1) * frame:
        raise InputError(
            f'{path}: {number} B-scans in the header, {len(dataset.PixelData) // frame} in the data; export it again'
        )
    return number


def _require_sound_jpeg(path: Path, dataset: Any, number: int) -> None:
    """Refuse (InputError) JPEG frames of another size, which exhaust memory, and cut ones, which libjpeg fills silently."""
    from pydicom import uid
    from pydicom.encaps import generate_frames
    from pydicom.pixels.utils import _get_jpg_parameters

    syntax = dataset.file_meta.get('TransferSyntaxUID')
    if syntax not in (*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes):
        return
    if syntax != uid.JPEGBaseline8Bit:  # the others need the decoder of this package
        import libjpeg  # noqa: F401
    for frame in generate_frames(dataset.PixelData, number_of_frames=number):
        size = [*map(_get_jpg_parameters(frame).get, ('height', 'width', 'components'))]
        if size != [dataset.Rows, dataset.Columns, 1] or b'\xff\xd9' not in frame[-16:]:  # its end, then padding
            raise InputError(f'{path}: a JPEG frame is cut or not {dataset.Rows}x{dataset.Columns} gray; export it again')


def _first(dataset: Any, sequence: str, keyword: str) -> Any:
    """Return the first value of an element: from shared groups, from groups of frames, or from the data set itself."""
    groups = [*(dataset.get('SharedFunctionalGroupsSequence') or []), *(dataset.get(_FRAMES) or []), dataset]
    holders = (holder for group in groups for holder in (*(group.get(sequence) or []), group))
    return next((value for holder in holders if (value := holder.get(keyword))), None)


def _places(dataset: Any, width: float) -> tuple[list[tuple | None], list[tuple] | None]:
    """Return the positions (x, y, z) in mm of the first and last pixels of B-scans of a width in mm; None if unknown."""
    starts, ends = [], []
    for frame in dataset.get(_FRAMES) or [dataset]:
        start = _first(frame, 'PlanePositionSequence', 'ImagePositionPatient')
        along = _first(frame, *_DIRECTION) or _first(dataset, *_DIRECTION)
        starts.append(start and tuple(map(float, start)))
        ends.append(start and along and width and any(along[:3]) and tuple(np.add(starts[-1], np.multiply(along[:3], width))))
    return starts, ends if all(ends) else None


def _laterality(dataset: Any) -> str | None:
    named = _first(dataset, 'FrameAnatomySequence', 'FrameLaterality')
    sides = (dataset.get('ImageLaterality'), dataset.get('Laterality'), named)
    return next((_SIDES[side] for side in sides if side in _SIDES), None)
