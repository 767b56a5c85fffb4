"""Readers of Heidelberg Spectralis exports, ``.vol`` and ``.e2e``, through the parsers of eyepy.

All volumes of a file are read. B-scans of circle and star scans have no distance, and so no volume in mm3.
"""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.io.scan import Scan, raster_of, reading, require_volume, spacing_from
from octfluid.utils.errors import InputError

DEVICE = 'Heidelberg Spectralis'
_SIDE_BY_SIDE = (0, 1, 3, 4)  # scan patterns; 2 is a circle, 5 a star
_SIDES = {'R': 'OD', 'L': 'OS', 'OD': 'OD', 'OS': 'OS'}
_TEXTS = ((104, 136), (140, 164), (176, 200), (224, 258))  # bytes of a .vol header that hold text typed by people
# Bytes of an .e2e file's header, of a chunk's, of a folder, of a data header.
_HEADER, _CHUNK, _FOLDER, _CONTAINER = 88, 52, 44, 60
_NO_WIDTH = 'an .e2e file gives the width of a pixel only as an angle, so nothing is in mm; pass the scale of your device'


def _shown(values: np.ndarray, kind: str, path: Path) -> np.ndarray:
    """Return raw reflectivity as HEYEX shows it: uint8 (H, W)."""
    from eyepy.core.utils import intensity_transforms

    raw = np.array(values, np.float32)  # a copy, which the transform changes
    if not (raw >= 0).all():
        raise InputError(f'{path}: a B-scan holds NaN or negative values; it is damaged, export it again')
    return intensity_transforms[kind](raw)


def read_vol(path: Path) -> Scan:
    """Read a ``.vol`` file ("raw data" export).

    Raises:
        InputError: It begins otherwise than such a file, or holds no B-scan.
        ModuleNotFoundError: eyepy is not installed.
    """
    from eyepy.io.he.vol_reader import vol_format

    content = bytearray(path.read_bytes())
    if not content.startswith(b'HSF-OCT-'):
        raise InputError(f'{path}: not a Heidelberg .vol file, which begins with HSF-OCT-; expected a raw data export')
    for start, end in _TEXTS:  # names with accents would stop the parser
        content[start:end] = bytes(byte if byte < 128 else ord('?') for byte in content[start:end])
    found = vol_format.parse(bytes(content))
    bscans = found.bscans
    require_volume(path, len(bscans), found.size_y, found.size_x, 4)
    side_by_side = found.scan_pattern in _SIDE_BY_SIDE
    personal = {key: str(getattr(found, key)).strip('\x00 ') for key in ('patient_id', 'visit_id', 'dob', 'exam_time', 'id')}
    return Scan(
        path,
        [_shown(one.data, 'vol', path) for one in bscans],
        is_volume=side_by_side and len(bscans) > 1,
        spacing=spacing_from(found.scale_y, found.scale_x, found.distance if side_by_side and len(bscans) > 1 else None),
        raster=raster_of([(one.start_x, one.start_y) for one in bscans], [(one.end_x, one.end_y) for one in bscans]),
        laterality=_SIDES.get(str(found.scan_position).strip('\x00 ')),
        device=DEVICE,
        identifiers={key: value for key, value in personal.items() if value},
        notes=_pattern_notes(found.scan_pattern),
    )


def _pattern_notes(pattern: int) -> tuple[str, ...]:
    if pattern in _SIDE_BY_SIDE:
        return ()
    return ('its B-scans are a circle or a star, which have no distance: areas are given, no volume',)


def read_e2e(path: Path) -> list[Scan]:
    """Read every OCT series of an ``.e2e`` file. It says how high a pixel is, and how wide only as an angle: no mm.

    Raises:
        InputError: It holds no OCT that can be read, or is damaged.
        ModuleNotFoundError: eyepy is not installed.
    """
    from eyepy.io.he import HeE2eReader

    class Reader(HeE2eReader):
        def inspect(self, *_: Any, **__: Any) -> str:
            """Return no description: it would take all texts of the file."""
            return ''

    _require_end(path)
    scans, unread = [], 0
    with Reader(path) as reader:
        for number, series in enumerate(reader.series):
            try:
                with reading(path, private=True):
                    scans += filter(None, [_read_series(path, series, str(number))])
            except InputError:
                unread += 1
    if not scans:
        raise InputError(f'{path}: holds no OCT series that can be read; expected one with B-scans')
    if unread:
        note = f'{unread} of the series in its file cannot be read and are left out'
        scans = [replace(scan, notes=(*scan.notes, note)) for scan in scans]
    return [replace(scans[0], series='')] if len(scans) == 1 else scans


def _read_series(path: Path, series: Any, label: str) -> Scan | None:
    """Read one ``E2ESeriesStructure`` of eyepy; None of one without B-scans."""
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
        notes=(_NO_WIDTH, *notes, *_pattern_notes(pattern)),
    )


def _require_end(path: Path) -> None:
    """Follow the chunks of an ``.e2e`` file as its parser does, which never returns where they lead in a circle."""
    content, place, seen = path.read_bytes(), _HEADER, set()
    while place + _CHUNK <= len(content):
        if place in seen:
            raise InputError(f'{path}: its chunks lead in a circle; it is damaged, export it again')
        seen.add(place)
        (number,) = struct.unpack_from('<I', content, place + 36)
        last = place + _CHUNK + (number - 1) * _FOLDER
        if number == 0 or last + _FOLDER > len(content):
            return
        start, size = struct.unpack_from('<4x2I', content, last)
        place = start + size + _CONTAINER
