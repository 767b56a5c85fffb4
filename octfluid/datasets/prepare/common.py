"""What the dataset converters share: making the folder, and writing the index."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from octfluid.datasets.integrity import KINDS, SUFFIX
from octfluid.datasets.splits import Split, write_splits
from octfluid.io.results import write_csv
from octfluid.utils.atomic import atomic_folder
from octfluid.utils.errors import InputError


@dataclass(frozen=True)
class Layout:
    """What a converter writes: columns of ``index.csv``, folders of one image size each, pattern of the files in ``splits/``.

    Masks are ``.png`` files, images of ``image_suffix``.
    """

    columns: tuple[str, ...]
    sizes: tuple[str, ...]
    lists: str
    image_suffix: str = SUFFIX

    @contextmanager
    def new(self, out_dir: Path) -> Iterator[Path]:
        """Give a new folder with the folders for images and masks; it becomes ``out_dir`` if the block ends without an error.

        An earlier conversion of this layout is replaced, and stays as it is after an error; `InputError` for other content.
        """
        with atomic_folder(out_dir, self._is_earlier) as folder:
            for size in self.sizes:
                for kind in KINDS:
                    (folder / size / kind).mkdir(parents=True)
            yield folder

    def write_lists(self, folder: Path, rows: Sequence[Sequence], splits: Mapping[str, Split]) -> None:
        """Write ``index.csv``, a row of values for each scan, and ``splits/``."""
        write_csv(folder / 'index.csv', self.columns, [dict(zip(self.columns, row, strict=True)) for row in rows])
        write_splits(folder / 'splits', splits)

    def _is_earlier(self, folder: Path) -> bool:
        index = folder / 'index.csv'
        header, *lines = index.read_bytes().splitlines() if index.is_file() else [b'']
        if not set(header.decode(errors='replace').split(',')) <= set(self.columns) or not (folder / 'splits').is_dir():
            return False
        names = [line.partition(b',')[0].decode(errors='replace') for line in lines]
        kinds = zip(KINDS, (self.image_suffix, SUFFIX), strict=True)
        ours = {f'{size}/{kind}/{name}{end}' for kind, end in kinds for size in self.sizes for name in names}
        lists = re.compile(rf'index\.csv|splits/{self.lists}')
        for path in sorted(folder.rglob('*')):
            name = path.relative_to(folder).as_posix()
            if name in ours or lists.fullmatch(name) or (path.is_dir() and not path.is_symlink()):
                continue
            raise InputError(f'{path}: not made by this converter, and would be deleted; move it, or choose another --out')
        return True
