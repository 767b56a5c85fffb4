"""Reader of ophthalmic tomography in DICOM: single and multi-frame, plain or compressed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from octfluid.io.scan import Scan, Spacing, raster_of, reading, require_volume, spacing_from, to_gray
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
    grays = to_gray(values, path)  # whatever number of bits it says that it uses
    if dataset.get('PhotometricInterpretation') == 'MONOCHROME1':
        grays = [255 - gray for gray in grays]
    order = str(dataset.get('InstanceNumber', ''))
    return Scan(
        path,
        grays,
        is_volume=number > 1,
        spacing=_spacing(dataset),
        laterality=_laterality(dataset),
        device=' '.join(str(dataset.get(key)) for key in ('Manufacturer', 'ManufacturerModelName') if dataset.get(key)) or None,
        identifiers={key: str(dataset.get(key)) for key in _PERSONAL if dataset.get(key)},
        notes=('its DICOM modality is not OPT but a secondary capture',) if dataset.get('Modality') != MODALITY else (),
        order=int(order) if order.isdecimal() else None,
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
    return [*shared, *(dataset.get('PerFrameFunctionalGroupsSequence') or []), dataset]


def _spacing(dataset: Any) -> Spacing | None:
    for group in _groups(dataset):
        for holder in (*(group.get('PixelMeasuresSequence') or []), group):
            if spacing := holder.get('PixelSpacing'):
                rows, columns = map(float, spacing)
                # The thickness of a slice is no distance between slices.
                between = raster_of(_positions(dataset)).distance or float(holder.get('SpacingBetweenSlices') or 0) or None
                return spacing_from(rows, columns, between)
    return None


def _positions(dataset: Any) -> list[list[float] | None]:
    groups = dataset.get('PerFrameFunctionalGroupsSequence') or []
    places = [[one.get('ImagePositionPatient') for one in group.get('PlanePositionSequence') or []] for group in groups]
    return [list(map(float, place[0])) if place and place[0] else None for place in places]


def _laterality(dataset: Mapping[str, Any]) -> str | None:
    sides = [dataset.get('ImageLaterality'), dataset.get('Laterality')]
    for group in _groups(dataset):
        sides += [holder.get('FrameLaterality') for holder in group.get('FrameAnatomySequence') or []]
    return next((_SIDES[side] for side in sides if side in _SIDES), None)
