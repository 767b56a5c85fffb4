"""Readers of Heidelberg Spectralis exports, ``.vol``, ``.e2e`` and HEYEX ``.xml``, through the parsers of eyepy.

Of a file with several volumes all are read. Circle and star scans are read too; between B-scans that do not lie side by side
there is no distance, and so no volume in mm3.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.errors import InputError
from octfluid.io.images import read_image
from octfluid.io.scan import Frames, Scan, even_distance, require_size, spacing_from

DEVICE = 'Heidelberg Spectralis'
_LATERALITIES = {'OD': 'OD', 'OS': 'OS', 'R': 'OD', 'L': 'OS'}
_SIDE_BY_SIDE = (0, 1, 3, 4)  # scan patterns; 2 is a circle, 5 a star


def _intensities(kind: str) -> Any:
    from eyepy.core.utils import intensity_transforms

    return intensity_transforms[kind]


def _gray(values: np.ndarray, kind: str, where: str) -> np.ndarray:
    """Return raw reflectivity as HEYEX shows it: uint8 (H, W)."""
    values = np.array(values, np.float32)  # a copy, which the transform changes
    if np.isnan(values).any():
        raise InputError(f'{where}: a B-scan holds NaN; it is damaged, export it again')
    require_size(*values.shape, where)
    return _intensities(kind)(values)


def _plain(text: Any) -> str:
    return str(text).strip('\x00 ')


def _parsed(path: Path, what: str, read: Any) -> Any:
    """Call a parser; whatever it raises becomes an InputError."""
    logging.getLogger('eyepy').setLevel(logging.CRITICAL)  # what matters of it is said here
    try:
        return read()
    except (InputError, ModuleNotFoundError):
        raise
    except MemoryError as error:
        raise InputError(f'{path}: says that it is larger than memory; it is damaged, export it again') from error
    except Exception as error:
        # Parsers of binary files raise whatever the damage leads to.
        reason = ' '.join(str(error).split())[:100]
        raise InputError(
            f'{path}: not a {what} file, or cut short or damaged ({type(error).__name__}: {reason}); export it again'
        ) from error


def read_vol(path: Path) -> list[Scan]:
    """Read a ``.vol`` file ("raw data" export).

    Raises:
        InputError: It is damaged or of another kind.
        ModuleNotFoundError: eyepy is not installed.
    """
    from eyepy.io.he import HeVolReader

    with open(path, 'rb') as file:
        if not file.read(8).startswith(b'HSF-OCT-'):
            raise InputError(f'{path}: not a Heidelberg .vol file, which begins with HSF-OCT-; expected a raw data export')
    parsed = _parsed(path, 'Heidelberg .vol', lambda: HeVolReader(path).parsed_file)
    bscans = parsed.bscans
    if not bscans:
        raise InputError(f'{path}: holds no B-scan; export it again')
    side_by_side = parsed.scan_pattern in _SIDE_BY_SIDE
    between = parsed.distance if side_by_side and len(bscans) > 1 else None
    frames = Frames(len(bscans), lambda place: _gray(bscans[place].data, 'vol', str(path)))
    require_size(parsed.size_y, parsed.size_x, str(path))
    personal = {key: getattr(parsed, key) for key in ('patient_id', 'visit_id', 'dob', 'exam_time', 'id')}
    scan = Scan(
        path,
        frames,
        is_volume=side_by_side and len(bscans) > 1,
        spacing=spacing_from(parsed.scale_y, parsed.scale_x, between),
        laterality=_LATERALITIES.get(_plain(parsed.scan_position)),
        device=DEVICE,
        identifiers={key: _plain(value) for key, value in personal.items() if _plain(value)},
        notes=_pattern_notes(parsed.scan_pattern),
    )
    return [scan]


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

    reader = _parsed(path, 'Heidelberg .e2e', lambda: HeE2eReader(path))
    scans = []
    with _parsed(path, 'Heidelberg .e2e', reader.__enter__):
        for number, series in enumerate(reader.series):
            if series.slices:
                scans.append(_parsed(path, 'Heidelberg .e2e', lambda one=series, label=number: _series(path, one, str(label))))
    if not scans:
        raise InputError(f'{path}: holds no OCT series; expected one with B-scans')
    return [Scan(**{**vars(scan), 'series': ''}) for scan in scans] if len(scans) == 1 else scans


def _series(path: Path, series: Any, label: str) -> Scan:
    slices = [part for _, part in sorted(series.slices.items())]
    images = [np.asarray(part.get_bscan(), np.float32) for part in slices]
    metas = series.get_bscan_meta()
    pattern = metas[0]['scan_pattern'] if metas else 0
    frames = Frames(len(images), lambda place: _gray(images[place], 'e2e', str(path)))
    for image in images:
        require_size(*image.shape, str(path))
    note = 'an .e2e file gives the width of a pixel only as an angle, so nothing is in mm; pass the scale of your device'
    laterality = _parsed(path, 'Heidelberg .e2e', series.laterality) if series.folders else None
    return Scan(
        path,
        frames,
        is_volume=pattern in _SIDE_BY_SIDE and len(images) > 1,
        laterality=_LATERALITIES.get(_plain(laterality)),
        series=label,
        device=DEVICE,
        notes=(note, *_pattern_notes(pattern)),
    )


def read_xml(path: Path) -> list[Scan]:
    """Read a HEYEX ``.xml`` export; its B-scans are pictures beside it.

    Raises:
        InputError: It is damaged, of another kind, or names pictures that are not there or not beside it.
        ModuleNotFoundError: eyepy is not installed.
    """
    from eyepy.io.he import HeXmlReader

    reader = _parsed(path, 'HEYEX .xml', lambda: HeXmlReader(path))
    metas = _parsed(path, 'HEYEX .xml', lambda: reader.bscan_meta)
    if not metas:
        raise InputError(f'{path}: holds no B-scan of type OCT; expected a HEYEX export')
    pictures = [_beside(path, meta['scan_name']) for meta in metas]
    values = reader.parsed_values
    between = even_distance([np.array(meta['start_pos'], float) for meta in metas if None not in meta['start_pos']])
    frames = Frames(len(pictures), lambda place: read_image(pictures[place]).frames[0])
    return [
        Scan(
            path,
            frames,
            is_volume=len(pictures) > 1,
            spacing=spacing_from(values['scale_y'], values['scale_x'], between),
            laterality=_LATERALITIES.get(_plain(values['scan_position'])),
            device=DEVICE,
            identifiers=_persons(values),
        )
    ]


def _persons(values: Mapping[str, Any]) -> dict[str, str]:
    keys: Sequence[str] = ('lastname', 'firstnames', 'dob', 'patient_id', 'pid', 'visit_date', 'exam_time', 'id')
    return {key: _plain(values[key]) for key in keys if values.get(key)}


def _beside(path: Path, name: str) -> Path:
    """Return the path of a picture that an export names; it must lie beside it."""
    if not name or '/' in name or name in ('.', '..'):
        raise InputError(f'{path}: names the picture {name!r}; expected one that lies beside it')
    if not (path.parent / name).is_file():
        raise InputError(f'{path}: names the picture {name}, which does not lie beside it; copy the whole export')
    return path.parent / name
