"""What visitors look at, as long as they do and memory allows: each one's latest scan, and the files that show it."""

import secrets
import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from octfluid.webapp.session import Viewed

Visitor = tuple[str | None, str]
"""Who logged in, if anybody has to, and the page's session."""
_PICTURES = 32  # of a visitor: the browser may still fetch an earlier one


@dataclass
class _Place:
    viewed: Viewed
    folder: Path
    until: float


class Shelf:
    """Keeps the latest scan of each visitor, and drops what was longest not looked at when all take too much memory.

    Args:
        folder: Where files that the browser fetches are written, each visitor's below a name that cannot be guessed.
        limit: Bytes of all scans together; the one that came last is kept in any case.
        seconds: A scan that nobody looks at is kept so long.
        grace: And so long after the visitor has left: a phone that sleeps for a moment seems to leave.
    """

    def __init__(self, folder: Path, limit: int = 1 << 30, seconds: float = 1800, grace: float = 60) -> None:
        self.folder, self.limit, self.seconds, self.grace = folder, limit, seconds, grace
        self._places: OrderedDict[Visitor, _Place] = OrderedDict()
        self._lock = threading.RLock()

    def put(self, visitor: Visitor, viewed: Viewed) -> None:
        """Keep a scan in place of the visitor's earlier one."""
        with self._lock:
            old = self._places.pop(visitor, None)
            folder = old.folder if old else self.folder / secrets.token_hex(16)
            self._places[visitor] = _Place(viewed, folder, time.monotonic() + self.seconds)
            while len(self._places) > 1 and sum(place.viewed.nbytes for place in self._places.values()) > self.limit:
                self.drop(next(iter(self._places)))

    def replace(self, visitor: Visitor, old: Viewed, new: Viewed) -> bool:
        """Keep a scan in place of another of the visitor's; False if that one has gone meanwhile, and then nothing changes."""
        with self._lock:
            place = self._places.get(visitor)
            if place is None or place.viewed is not old:
                return False
            place.viewed = new
            return True

    def get(self, visitor: Visitor) -> Viewed | None:
        """Return what the visitor looks at; None if that is not kept, or nothing was put."""
        with self._lock:
            self.forget_old()
            place = self._places.get(visitor)
            if place is None:
                return None
            self._places.move_to_end(visitor)
            place.until = time.monotonic() + self.seconds
            return place.viewed

    def new_file(self, visitor: Visitor, name: str, passing: bool = False) -> Path | None:
        """Return a path for a file of that name, which no other visitor can know; None if the visitor's scan is not kept.

        Of files that are ``passing``, such as pictures that a slider goes through, only the latest are kept.
        """
        with self._lock:
            place = self._places.get(visitor)
            if place is None:
                return None
            folder = place.folder / ('passing' if passing else 'kept')
            folder.mkdir(parents=True, exist_ok=True)
            if passing:
                written = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
                for old in written[: -_PICTURES + 1]:
                    shutil.rmtree(old)
            path = folder / secrets.token_hex(8) / name
            path.parent.mkdir()
            return path

    def drop(self, visitor: Visitor) -> None:
        """Forget the visitor's scan, and delete the files that show it."""
        with self._lock:
            place = self._places.pop(visitor, None)
        if place is not None:
            shutil.rmtree(place.folder, ignore_errors=True)

    def leave(self, visitor: Visitor) -> None:
        """Note that the visitor has left."""
        with self._lock:
            if visitor in self._places:
                self._places[visitor].until = time.monotonic() + self.grace

    def forget_old(self) -> None:
        """Drop what nobody has looked at for long."""
        with self._lock:
            for visitor in [one for one, place in self._places.items() if place.until < time.monotonic()]:
                self.drop(visitor)
