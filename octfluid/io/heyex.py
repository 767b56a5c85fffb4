"""Reader of HEYEX ``.xml`` exports of Heidelberg Spectralis, whose B-scans are pictures beside them.

Read here rather than by eyepy, which takes all series of a file for one volume, any side but the right for the left one, and
fails where an element is missing.
"""

from pathlib import Path
from xml.etree import ElementTree

from octfluid.io.heidelberg import DEVICE, parsed
from octfluid.io.images import read_image
from octfluid.io.scan import Frames, Scan, raster_of, spacing_from
from octfluid.utils.errors import InputError

_CONTEXT = 'OphthalmicAcquisitionContext'
_PERSONAL = ('.//Patient/LastName', './/Patient/FirstNames', './/Patient/PatientID', './/Patient/ID')


def read_xml(path: Path) -> list[Scan]:
    """Read every OCT series of an export.

    Raises:
        InputError: It is damaged, of another kind, or names pictures that are not there or not beside it.
    """
    root = parsed(path, 'HEYEX .xml', lambda: _tree(path))
    found = [(series, _bscans(series)) for series in root.iter('Series')]
    found = [(series, images) for series, images in found if images]
    if not found:
        raise InputError(f'{path}: holds no B-scan of type OCT; expected a HEYEX export')
    persons = {place.rpartition('/')[2]: text for place in _PERSONAL if (text := _text(root, place))}
    several = len(found) > 1
    return [
        _scan(path, series, images, str(number) if several else '', persons) for number, (series, images) in enumerate(found)
    ]


def pictures_of(path: Path) -> set[str]:
    """Return the names of the pictures that an export names, those that are no B-scans too; none of other or broken XML."""
    try:
        root = parsed(path, 'HEYEX .xml', lambda: _tree(path))
    except InputError:
        # What says that it is an export is read, and refused by name; other XML is nothing to us.
        return {''} if 'HEDX' in path.read_bytes()[:4096].replace(b'\0', b'').decode('latin-1') else set()
    return {url.text.strip().replace('\\', '/').rpartition('/')[2] for url in root.iter('ExamURL') if url.text}


class _Plain(ElementTree.TreeBuilder):
    """Builds a tree from XML without definitions, which could make a page of text grow without end or name other files."""

    def doctype(self, *_: object) -> None:
        """Refuse definitions, where they begin."""
        raise InputError('defines entities or a document type of its own (<!DOCTYPE ...>), as no HEYEX export does; refused')


def _tree(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_Plain()))
    except InputError as error:
        raise InputError(f'{path}: {error}') from error


def _bscans(series: ElementTree.Element) -> list[ElementTree.Element]:
    return [image for image in series.findall('Image') if _text(image, 'ImageType/Type') == 'OCT']


def _text(element: ElementTree.Element, place: str) -> str:
    return (element.findtext(place) or '').strip()


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
    pictures = [_beside(path, _text(image, 'ImageData/ExamURL').replace('\\', '/').rpartition('/')[2]) for image in images]
    if len(set(pictures)) < len(pictures):
        twice = next(one for one in pictures if pictures.count(one) > 1)
        raise InputError(f'{path}: names the picture {twice.name} for several B-scans; it is damaged, export it again')
    scales = {tuple(_number(image, f'{_CONTEXT}/Scale{axis}') for axis in 'YX') for image in images}
    raster = raster_of([_position(image, 'Start') for image in images], [_position(image, 'End') for image in images])
    notes = []
    if len(scales) > 1:
        notes.append('its B-scans differ in scale: nothing is in mm')
    volume = len(images) > 1 and raster.distance is not None
    if len(images) > 1 and not volume:
        notes.append('its B-scans do not lie side by side at one distance, or have no position: areas are given, no volume')
    axial, lateral = scales.pop() if len(scales) == 1 else (None, None)
    return Scan(
        path,
        Frames(len(pictures), lambda place: read_image(pictures[place]).frames[0]),
        is_volume=volume,
        spacing=spacing_from(axial, lateral, raster.distance),
        raster=raster,
        laterality={'R': 'OD', 'L': 'OS'}.get(_text(series, 'Laterality')),
        series=label,
        device=DEVICE,
        identifiers=persons,
        notes=tuple(notes),
        files=tuple(picture.name for picture in pictures),
    )


def _beside(path: Path, name: str) -> Path:
    """Return the path of a picture that an export names; it must lie beside it."""
    if name in ('', '.', '..'):
        raise InputError(f'{path}: does not name the picture of a B-scan; copy the whole export')
    try:
        there = (path.parent / name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        shown = name if len(name) <= 100 and name.isprintable() else repr(name[:100])
        raise InputError(f'{path}: names the picture {shown}, which does not lie beside it; copy the whole export')
    return path.parent / name
