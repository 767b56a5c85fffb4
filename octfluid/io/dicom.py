"""Reader of ophthalmic tomography in DICOM: single and multi-frame, plain or compressed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.io.scan import Scan, highest, raster_of, reading, require_volume, spacing_from, to_gray, white_of
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
_FRAMES, _MEASURES = 'PerFrameFunctionalGroupsSequence', 'PixelMeasuresSequence'


def read_dicom(path: Path) -> Scan:
    """Read a DICOM file of modality OPT, or a secondary capture in gray."""
    import pydicom
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels import pixel_array

    if read_file_meta_info(path).get('TransferSyntaxUID') == pydicom.uid.DeflatedExplicitVRLittleEndian:
        # pydicom would unpack it to any size; images are never packed so.
        raise InputError(f'{path}: packed as a whole (deflated); export it with compressed frames or plain')
    dataset = pydicom.dcmread(path)
    number = _check(path, dataset)
    with reading(path):  # what is said of pixels names no person
        values = [pixel_array(dataset, index=place, raw=True) for place in range(number)]
    top = max(highest(one, path) for one in values)
    white = float((1 << int(dataset.get('BitsStored', 8))) - 1)  # a word of 16 bits may hold 12, or any fewer
    inverted = dataset.get('PhotometricInterpretation') == 'MONOCHROME1'
    if values[0].dtype != np.uint8 and not inverted:  # all values may use fewer bits than it says
        white = min(white, white_of(values[0].dtype, top))
    grays = [to_gray(one, white) for one in values]
    order = str(dataset.get('InstanceNumber', ''))
    starts, ends = _places(dataset)
    # The thickness of a slice is no distance between slices.
    raster = raster_of(starts, ends if all(ends) else None, _first(_groups(dataset), _MEASURES, 'SpacingBetweenSlices'))
    rows, columns = _first(_groups(dataset), _MEASURES, 'PixelSpacing') or (None, None)
    return Scan(
        path,
        [255 - gray for gray in grays] if inverted else grays,
        is_volume=number > 1,
        spacing=spacing_from(rows, columns, raster.distance),
        raster=raster,
        laterality=_laterality(dataset),
        device=' '.join(str(dataset.get(key)) for key in ('Manufacturer', 'ManufacturerModelName') if dataset.get(key)) or None,
        identifiers={key: str(dataset.get(key)) for key in _PERSONAL if dataset.get(key)},
        notes=('its DICOM modality is not OPT but a secondary capture',) if dataset.get('Modality') != MODALITY else (),
        order=int(order) if order.isdecimal() else None,
        ends=(starts[0], ends[0]),
    )


def _check(path: Path, dataset: Any) -> int:
    """Return the number of frames; refuse what is no tomography, and numbers that are not gray values as they stand."""
    modality, photometric = dataset.get('Modality', ''), dataset.get('PhotometricInterpretation', 'MONOCHROME2')
    if 'Rows' not in dataset or 'PixelData' not in dataset:
        raise InputError(f'{path}: a DICOM file without an image; expected ophthalmic tomography')
    if modality != MODALITY and not (dataset.get('SOPClassUID') == _SECONDARY_CAPTURE and modality in ('', 'OT', 'SC')):
        raise InputError(f'{path}: its modality is {modality or "not given"}; expected {MODALITY}, ophthalmic tomography')
    if dataset.get('SamplesPerPixel', 1) != 1 or photometric not in ('MONOCHROME1', 'MONOCHROME2'):
        raise InputError(f'{path}: its pixels are {photometric}; expected gray values, MONOCHROME1 or MONOCHROME2')
    number, bits = int(dataset.get('NumberOfFrames', 1) or 1), int(dataset.get('BitsAllocated', 8))
    require_volume(path, number, dataset.Rows, dataset.Columns, bits // 8)
    stored = int(dataset.get('BitsStored', 8))
    if int(dataset.get('HighBit', stored - 1)) != stored - 1:
        raise InputError(f'{path}: its highest bit is number {dataset.HighBit} of {stored}; expected {stored - 1}')
    syntax, frame = dataset.file_meta.get('TransferSyntaxUID'), dataset.Rows * dataset.Columns * bits // 8
    if syntax is not None and not syntax.is_encapsulated and len(dataset.PixelData) >= (number + 1) * frame:
        raise InputError(f'{path}: says that it has {number} B-scans, and holds {len(dataset.PixelData) // frame}')
    return number


def _groups(dataset: Any) -> list[Any]:
    """Return where measures may stand: the shared functional groups, then those of single frames, then the file itself."""
    shared = list(dataset.get('SharedFunctionalGroupsSequence') or [])
    return [*shared, *(dataset.get(_FRAMES) or []), dataset]


def _first(groups: Sequence[Any], sequence: str, keyword: str) -> Any:
    """Return an element's value from the first of the groups that has it, in a sequence of its own or as it stands."""
    holders = (holder for group in groups for holder in (*(group.get(sequence) or []), group))
    return next((value for holder in holders if (value := holder.get(keyword))), None)


def _places(dataset: Any) -> tuple[list[tuple | None], list[tuple | None]]:
    """Return the positions (x, y, z), in mm, of the first and of the last pixel of each B-scan; None where one is not known."""
    starts, ends, width = [], [], 0.0
    if spacing := _first(_groups(dataset), _MEASURES, 'PixelSpacing'):
        width = (int(dataset.Columns) - 1) * float(spacing[1])
    frames = dataset.get(_FRAMES) or [dataset]
    for frame in frames:
        start = _first([frame], 'PlanePositionSequence', 'ImagePositionPatient')
        along = _first([frame, *_groups(dataset)], 'PlaneOrientationSequence', 'ImageOrientationPatient')
        starts.append(tuple(map(float, start)) if start else None)
        known = start and along and width and any(along[:3])
        ends.append(tuple(float(a) + width * float(b) for a, b in zip(start, along[:3], strict=True)) if known else None)
    return starts, ends


def _laterality(dataset: Mapping[str, Any]) -> str | None:
    sides = [dataset.get('ImageLaterality'), dataset.get('Laterality')]
    for group in _groups(dataset):
        sides += [holder.get('FrameLaterality') for holder in group.get('FrameAnatomySequence') or []]
    return next((_SIDES[side] for side in sides if side in _SIDES), None)
