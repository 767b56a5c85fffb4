"""Readers of Heidelberg Spectralis exports, ``.vol`` and ``.e2e``, through the parsers of eyepy.

Of a file with several volumes all are read. Circle and star scans are read too; between B-scans that do not lie side by side
there is no distance, and so no volume in mm3.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.io.heidelberg_checks import check_e2e, check_vol
from octfluid.io.scan import Frames, Scan, raster_of, require_size, spacing_from
from octfluid.utils.errors import InputError

DEVICE = 'Heidelberg Spectralis'
_SIDE_BY_SIDE = (0, 1, 3, 4)  # scan patterns; 2 is a circle, 5 a star
_TEXTS = ((104, 136), (140, 164), (176, 200), (224, 258))  # bytes of a .vol header that hold text typed by people


def _gray(values: np.ndarray, kind: str, where: str) -> np.ndarray:
    """Return raw reflectivity as HEYEX shows it: uint8 (H, W)."""
    from eyepy.core.utils import intensity_transforms

    values = np.array(values, np.float32)  # a copy, which the transform changes
    if not (values >= 0).all():
        raise InputError(f'{where}: a B-scan holds NaN or negative values; it is damaged, export it again')
    return intensity_transforms[kind](values)


def parsed(path: Path, what: str, read: Any) -> Any:
    """Call a parser; whatever it raises becomes an InputError.

    Its words are not repeated: they may quote what the file says of a person.
    """
    logging.getLogger('eyepy').setLevel(logging.CRITICAL)  # what matters of it is said here
    try:
        return read()
    except (InputError, ModuleNotFoundError, PermissionError):
        raise
    except MemoryError as error:
        raise InputError(f'{path}: says that it is larger than memory; it is damaged, export it again') from error
    except Exception as error:
        # Parsers of binary files raise whatever the damage leads to.
        raise InputError(
            f'{path}: not a {what} file, or cut short or damaged ({type(error).__name__}); export it again'
        ) from error


def read_vol(path: Path) -> list[Scan]:
    """Read a ``.vol`` file ("raw data" export).

    Raises:
        InputError: It is damaged or of another kind.
        ModuleNotFoundError: eyepy is not installed.
    """
    from eyepy.io.he.vol_reader import vol_format

    content = bytearray(path.read_bytes())
    if not content.startswith(b'HSF-OCT-'):
        raise InputError(f'{path}: not a Heidelberg .vol file, which begins with HSF-OCT-; expected a raw data export')
    check_vol(path, content)
    for start, end in _TEXTS:  # names with accents would stop the parser
        content[start:end] = bytes(byte if byte < 128 else ord('?') for byte in content[start:end])
    found = parsed(path, 'Heidelberg .vol', lambda: vol_format.parse(bytes(content)))
    bscans = found.bscans
    side_by_side = found.scan_pattern in _SIDE_BY_SIDE
    between = found.distance if side_by_side and len(bscans) > 1 else None
    personal = {key: getattr(found, key) for key in ('patient_id', 'visit_id', 'dob', 'exam_time', 'id')}
    raster = raster_of([(one.start_x, one.start_y) for one in bscans], [(one.end_x, one.end_y) for one in bscans])
    scan = Scan(
        path,
        Frames(len(bscans), lambda place: _gray(bscans[place].data, 'vol', str(path))),
        is_volume=side_by_side and len(bscans) > 1,
        spacing=spacing_from(found.scale_y, found.scale_x, between),
        raster=raster,
        laterality={'OD': 'OD', 'OS': 'OS'}.get(_plain(found.scan_position)),
        device=DEVICE,
        identifiers={key: _plain(value) for key, value in personal.items() if _plain(value)},
        notes=_pattern_notes(found.scan_pattern),
    )
    return [scan]


def _plain(text: Any) -> str:
    return str(text).strip('\x00 ')


def _pattern_notes(pattern: int) -> tuple[str, ...]:
    if pattern in _SIDE_BY_SIDE:
        return ()
    return ('its B-scans are a circle or a star, which have no distance: areas are given, no volume',)


def read_e2e(path: Path) -> list[Scan]:
    """Read every OCT series of an ``.e2e`` file. It says how high a pixel is, and how wide only as an angle: no mm.

    Raises:
        InputError: It is damaged, of another kind, or without OCT.
        ModuleNotFoundError: eyepy is not installed.
    """
    from eyepy.io.he import HeE2eReader

    parsed(path, 'Heidelberg .e2e', lambda: check_e2e(path))
    scans, unread = [], 0
    with parsed(path, 'Heidelberg .e2e', lambda: HeE2eReader(path)) as reader:
        for number, series in enumerate(parsed(path, 'Heidelberg .e2e', lambda: list(reader.series))):
            try:
                scan = parsed(path, 'Heidelberg .e2e', lambda one=series, label=number: read_series(path, one, str(label)))
            except InputError:
                unread += 1
                continue
            scans += [scan] if scan else []
    if not scans:
        raise InputError(f'{path}: holds no OCT series that can be read; expected one with B-scans')
    if unread:
        note = f'{unread} of the series in its file cannot be read and are left out'
        scans = [Scan(**{**vars(scan), 'notes': (*scan.notes, note)}) for scan in scans]
    return [Scan(**{**vars(scans[0]), 'series': ''})] if len(scans) == 1 else scans


def read_series(path: Path, series: Any, label: str) -> Scan | None:
    """Read one series of an ``.e2e`` file, as eyepy presents it; None of one without B-scans.

    Args:
        path: Of the file.
        series: eyepy's ``E2ESeriesStructure``.
        label: What tells it from others of the file.
    """
    from eyepy.io.he.e2e_format import TypesEnum

    slices = [part for _, part in sorted(series.slices.items())]
    images, without = [], 0
    for part in slices:
        try:
            images.append(np.asarray(part.get_bscan(), np.float32))
        except (IndexError, KeyError):  # a slice that has no picture of its own
            without += 1
    if not images:
        return None
    for image in images:
        require_size(*image.shape, str(path))
    metas = series.get_bscan_meta()
    pattern = metas[0]['scan_pattern'] if metas else 0
    sides = series.folders.get(TypesEnum.laterality) or []
    side = getattr(sides[0].data.laterality, 'name', None) if sides else None
    notes = ['an .e2e file gives the width of a pixel only as an angle, so nothing is in mm; pass the scale of your device']
    notes += [f'{without} of {len(slices)} slices of its file hold no B-scan'] if without else []
    return Scan(
        path,
        Frames(len(images), lambda place: _gray(images[place], 'e2e', str(path))),
        is_volume=pattern in _SIDE_BY_SIDE and len(images) > 1,
        laterality={'R': 'OD', 'L': 'OS', 'OD': 'OD', 'OS': 'OS'}.get(side),
        series=label,
        device=DEVICE,
        notes=(*notes, *_pattern_notes(pattern)),
    )
