"""Reader of HEYEX ``.xml`` exports of Heidelberg Spectralis, whose B-scans are pictures beside them.

Read here rather than by eyepy, which takes all series of a file for one volume, any side but the right for the left one, and
fails where an element is missing.
"""

from pathlib import Path
from xml.etree import ElementTree

from octfluid.io.heidelberg import DEVICE
from octfluid.io.images import read_image
from octfluid.io.scan import Scan, raster_of, spacing_from
from octfluid.utils.errors import InputError

_CONTEXT = 'OphthalmicAcquisitionContext'
_PERSONAL = ('.//Patient/LastName', './/Patient/FirstNames', './/Patient/PatientID', './/Patient/ID')


def read_xml(path: Path) -> list[Scan]:
    """Read every OCT series of an export.

    Raises:
        InputError: It holds no B-scan, or names pictures that do not lie beside it.
    """
    root = ElementTree.fromstring(path.read_bytes())  # Expat refuses entities that grow, and follows none to other files
    found = [
        (series, images)
        for series in root.iter('Series')
        if (images := [image for image in series.findall('Image') if _text(image, 'ImageType/Type') == 'OCT'])
    ]
    if not found:
        raise InputError(f'{path}: holds no B-scan of type OCT; expected a HEYEX export')
    persons = {place.rpartition('/')[2]: text for place in _PERSONAL if (text := _text(root, place))}
    labels = map(str, range(len(found))) if len(found) > 1 else ['']
    return [_scan(path, series, images, label, persons) for label, (series, images) in zip(labels, found, strict=True)]


def pictures_of(path: Path) -> set[str] | None:
    """Return the names of the pictures that an export names, those that are no B-scans too; None if it is other XML."""
    if 'HEDX' not in path.read_bytes()[:4096].replace(b'\0', b'').decode('latin-1'):  # in UTF-16, too
        return None
    try:
        return {_name(url.text or '') for url in ElementTree.fromstring(path.read_bytes()).iter('ExamURL')}
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
    names = [_name(_text(image, 'ImageData/ExamURL')) for image in images]
    for name in names:
        if not (path.parent / name).is_file():
            raise InputError(f'{path}: names the picture {name[:100]!r}, which does not lie beside it; copy the whole export')
        if names.count(name) > 1:
            raise InputError(f'{path}: names the picture {name} for several B-scans; it is damaged, export it again')
    scales = {tuple(_number(image, f'{_CONTEXT}/Scale{axis}') for axis in 'YX') for image in images}
    raster = raster_of(*([_position(image, end) for image in images] for end in ('Start', 'End')))
    volume = len(images) > 1 and raster.distance is not None
    notes = {
        'its B-scans differ in scale: nothing is in mm': len(scales) > 1,
        'its B-scans do not lie side by side at one distance, or have no position: areas are given, no volume': (
            len(images) > 1 and not volume
        ),
    }
    return Scan(
        path,
        [read_image(path.parent / name).frames[0] for name in names],
        is_volume=volume,
        spacing=spacing_from(*scales.pop(), raster.distance) if len(scales) == 1 else None,
        raster=raster,
        laterality={'R': 'OD', 'L': 'OS'}.get(_text(series, 'Laterality')),
        series=label,
        device=DEVICE,
        identifiers=persons,
        notes=tuple(note for note, holds in notes.items() if holds),
        files=tuple(names),
    )
