"""Readers of Heidelberg Spectralis exports: ``.vol`` and ``.e2e`` through the parsers of eyepy, and HEYEX ``.xml``.

The readers return all volumes of a file. Circle and star scans have no distance between B-scans, so no volume in mm3.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize
from xml.etree import ElementTree

import numpy as np

from octfluid.io.images import read_image
from octfluid.io.scan import Scan, raster_of, reading, require_volume, spacing_from
from octfluid.utils.errors import InputError
from octfluid.utils.text import as_stored

DEVICE = 'Heidelberg Spectralis'
_SIDE_BY_SIDE = (0, 1, 3, 4)  # scan patterns; 2 is a circle, 5 a star
_SIDES = {'R': 'OD', 'L': 'OS', 'OD': 'OD', 'OS': 'OS'}
_TEXTS = ((104, 136), (140, 164), (176, 200), (224, 258))  # bytes of a .vol header with names and other typed text
_CONTEXT = 'OphthalmicAcquisitionContext'
_PERSONAL = ('.//Patient/LastName', './/Patient/FirstNames', './/Patient/PatientID', './/Patient/ID')
_CIRCLE = 'its B-scans are a circle or a star, which have no distance: areas are given, no volume'
_NO_WIDTH = 'an .e2e file gives the width of a pixel only as an angle, so nothing is in mm; pass the scale of your device'


def _shown(values: np.ndarray, kind: str, path: Path) -> np.ndarray:
    """Return raw reflectivity as HEYEX shows it: uint8 (H, W)."""
    from eyepy.core.utils import intensity_transforms

    raw = np.array(values, np.float32)  # a copy, which the transform changes
    if not (raw >= 0).all():
        raise InputError(f'{path}: a B-scan has NaN or negative values; the file is damaged, export it again')
    return intensity_transforms[kind](raw)


def read_vol(path: Path) -> Scan:
    """Read a ``.vol`` file ("raw data" export)."""
    from construct import ConstructError
    from eyepy.io.he.vol_reader import vol_format

    content = bytearray(path.read_bytes())
    if not content.startswith(b'HSF-OCT-'):
        raise InputError(f'{path}: does not begin with HSF-OCT-; expected a Heidelberg .vol file (raw data export)')
    for start, end in _TEXTS:  # names with accents would stop the parser
        content[start:end] = bytes(byte if byte < 128 else ord('?') for byte in content[start:end])
    try:
        found = vol_format.parse(bytes(content))
        if not all(one.version.startswith('HSF-BS-') for one in found.bscans):
            raise ValueError('no B-scan where one is expected')
    except (ConstructError, ValueError) as error:
        version = bytes(content[:12]).decode('ascii', 'replace').strip('\x00 ')
        raise InputError(f'{path}: a .vol file of version {version}, damaged or not of version 103; export it again') from error
    bscans = found.bscans
    require_volume(path, len(bscans), found.size_y, found.size_x, 4)
    volume = found.scan_pattern in _SIDE_BY_SIDE and len(bscans) > 1
    places = [(one.start_x, one.start_y) for one in bscans], [(one.end_x, one.end_y) for one in bscans]
    raster = raster_of(*places, found.distance)
    personal = {key: str(getattr(found, key)).strip('\x00 ') for key in ('patient_id', 'visit_id', 'dob', 'exam_time', 'id')}
    return Scan(
        path,
        [_shown(one.data, 'vol', path) for one in bscans],
        is_volume=volume,
        spacing=spacing_from(found.scale_y, found.scale_x, raster.distance if volume else None),
        raster=raster,
        laterality=_SIDES.get(str(found.scan_position).strip('\x00 ')),
        device=DEVICE,
        identifiers={key: value for key, value in personal.items() if value},
        notes=() if found.scan_pattern in _SIDE_BY_SIDE else (_CIRCLE,),
    )


def read_e2e(path: Path) -> list[Scan]:
    """Read every OCT series of an ``.e2e`` file, without a scale: the file gives a pixel's width only as an angle."""
    from eyepy.io.he import HeE2eReader

    class Reader(HeE2eReader):
        def inspect(self, *_: Any, **__: Any) -> str:
            """Return an empty description: eyepy would read all texts of the file for it."""
            return ''

    scans, unread = [], 0
    with Reader(path) as reader:
        for number, series in enumerate(reader.series):
            try:
                with reading(path, private=True):
                    scans += filter(None, [_read_series(path, series, str(number))])
            except InputError:
                unread += 1
    if not scans:
        raise InputError(f'{path}: has no readable OCT series; expected one with B-scans')
    if unread:
        note = f'{unread} of the series in its file cannot be read and are left out'
        scans = [replace(scan, notes=(*scan.notes, note)) for scan in scans]
    return [replace(scans[0], series='')] if len(scans) == 1 else scans


def _read_series(path: Path, series: Any, label: str) -> Scan | None:
    """Read one ``E2ESeriesStructure`` of eyepy; None if it has no B-scans."""
    from eyepy.io.he.e2e_format import TypesEnum

    images, without = [], 0
    for _, part in sorted(series.slices.items()):
        try:
            images.append(_shown(part.get_bscan(), 'e2e', path))
        except (IndexError, KeyError):  # a slice that has no picture of its own
            without += 1
        else:
            require_volume(path, len(images), *images[-1].shape, 4)
    if not images:
        return None
    metas = series.get_bscan_meta()
    pattern = metas[0]['scan_pattern'] if metas else 0
    sides = series.folders.get(TypesEnum.laterality) or []
    side = getattr(sides[0].data.laterality, 'name', None) if sides else None
    notes = (f'{without} of {len(series.slices)} slices of its file hold no B-scan',) if without else ()
    return Scan(
        path,
        images,
        is_volume=pattern in _SIDE_BY_SIDE and len(images) > 1,
        laterality=_SIDES.get(side),
        series=label,
        device=DEVICE,
        notes=(_NO_WIDTH, *notes) if pattern in _SIDE_BY_SIDE else (_NO_WIDTH, *notes, _CIRCLE),
    )


def read_xml(path: Path) -> list[Scan]:
    """Read every OCT series of a HEYEX export, whose B-scans are pictures next to the XML file.

    eyepy is not used: it reads all series as one volume and any side except the right as the left, and needs all elements.
    """
    root = ElementTree.fromstring(path.read_bytes())  # Expat refuses entities that grow, and follows none to other files
    found = [
        (series, images)
        for series in root.iter('Series')
        if (images := [image for image in series.findall('Image') if _text(image, 'ImageType/Type') == 'OCT'])
    ]
    if not found:
        raise InputError(f'{path}: has no B-scan of type OCT; expected a HEYEX export')
    persons = {place.rpartition('/')[2]: text for place in _PERSONAL if (text := _text(root, place))}
    labels = map(str, range(len(found))) if len(found) > 1 else ['']
    return [_scan(path, series, images, label, persons) for label, (series, images) in zip(labels, found, strict=True)]


def pictures_of(path: Path) -> set[str] | None:
    """Return the names (NFC) of all pictures of an export, other than B-scans too; None for other XML."""
    if 'HEDX' not in path.read_bytes()[:4096].replace(b'\0', b'').decode('latin-1'):  # in UTF-16, too
        return None
    try:
        return {normalize('NFC', _name(url.text or '')) for url in ElementTree.fromstring(path.read_bytes()).iter('ExamURL')}
    except ElementTree.ParseError:  # reading it says so
        return set()


def _text(element: ElementTree.Element, place: str) -> str:
    return (element.findtext(place) or '').strip()


def _name(url: str) -> str:
    return url.strip().replace('\\', '/').rpartition('/')[2]


def _number(element: ElementTree.Element, place: str) -> float | None:
    try:
        return float(_text(element, place))
    except ValueError:
        return None


def _position(image: ElementTree.Element, which: str) -> tuple[float, float] | None:
    x, y = (_number(image, f'{_CONTEXT}/{which}/Coord/{axis}') for axis in 'XY')
    return None if x is None or y is None else (x, y)


def _scan(
    path: Path, series: ElementTree.Element, images: list[ElementTree.Element], label: str, persons: dict[str, str]
) -> Scan:
    pictures = [as_stored(path.parent / _name(_text(image, 'ImageData/ExamURL'))) for image in images]
    for picture in pictures:
        if not picture.is_file():
            raise InputError(f'{path}: the picture {picture.name[:100]!r} is missing next to it; copy the whole export')
    scales = {tuple(_number(image, f'{_CONTEXT}/Scale{axis}') for axis in 'YX') for image in images}
    raster = raster_of(*([_position(image, end) for image in images] for end in ('Start', 'End')))
    volume = len(images) > 1 and raster.distance is not None
    notes = ['its B-scans differ in scale: nothing is in mm'] if len(scales) > 1 else []
    if len(images) > 1 and not volume:
        notes.append(f'{raster.uneven or raster.doubt}: areas are given, no volume')
    return Scan(
        path,
        [read_image(picture).frames[0] for picture in pictures],
        is_volume=volume,
        spacing=spacing_from(*scales.pop(), raster.distance) if len(scales) == 1 else None,
        raster=raster,
        laterality=_SIDES.get(_text(series, 'Laterality')),
        series=label,
        device=DEVICE,
        identifiers=persons,
        notes=tuple(notes),
        files=tuple(picture.name for picture in pictures),
    )
