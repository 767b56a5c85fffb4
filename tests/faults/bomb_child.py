"""A child process that reads files one by one: `python bomb_child.py FILE...`; a line of JSON says what came of each."""

import json
import resource
import sys
import time
from pathlib import Path

from fuzz_child import peak_bytes

from octfluid.io.readers import read_scans
from octfluid.utils.errors import OctfluidError

_WALL = 6 << 30  # bytes of addresses, where the system refuses: a file must not stop the machine


def main():
    """Read the files."""
    resource.setrlimit(resource.RLIMIT_AS, (_WALL, _WALL))
    for path in map(Path, sys.argv[1:]):
        start, said = time.perf_counter(), None
        try:
            for scan in read_scans(path):
                for frame in scan.frames:
                    frame.shape  # noqa: B018  read it
        except OctfluidError as error:
            said = str(error)
        except BaseException as error:
            said = f'ESCAPED {type(error).__name__}: {error}'
        peak = peak_bytes()
        print(json.dumps(dict(file=path.name, said=said, seconds=time.perf_counter() - start, peak=peak)), flush=True)


if __name__ == '__main__':
    main()
