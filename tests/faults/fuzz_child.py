"""A child process that reads changed files: `python fuzz_child.py READER FIRST END STEP FOLDER`.

Which change is made follows from the reader and the number alone. The number that is being read stands in `FOLDER/number`, so
that whoever started this knows it should this die; a line of JSON says what went wrong, and the last one what it took.
"""

import json
import random
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.mutations import change
from fuzz_targets import TARGETS

from octfluid.utils.errors import OctfluidError

MOST_SECONDS, MOST_BYTES = 5, 1 << 30
_WALL = 4 << 30  # bytes beyond what the packages take, where the system refuses: a file must not stop the machine


def peak_bytes():
    """Return the most memory that this process has held; `getrusage` would count that of the process it was started from."""
    status = Path('/proc/self/status').read_text()
    return int(status[status.index('VmHWM:') :].split()[1]) * 1024


def changed(name, number, seeds):
    """Return the changed file of a number."""
    target, rng = TARGETS[name], random.Random(f'{name} {number}')
    content = change(rng, seeds, target.words)
    return target.pack(content) if rng.random() < 0.9 else content


def main(name, first, end, step, folder):
    """Read the changed files of a range of numbers."""
    target, folder = TARGETS[name], Path(folder)
    seeds = target.seeds(folder)
    path = folder / f'x{target.suffix}'
    path.write_bytes(target.pack(seeds[0]))
    target.read(path)  # a good one, with which the packages are loaded
    held = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + _WALL, held + _WALL))
    tried = good = 0
    slowest, said = 0.0, False
    with open(folder / 'number', 'w') as progress:
        for number in range(first, end, step):
            progress.seek(0)
            progress.write(f'{number:9d}')
            progress.flush()
            path.write_bytes(changed(name, number, seeds))
            start, wrong = time.perf_counter(), None
            try:
                target.read(path)
                good += 1
            except OctfluidError:
                pass
            except BaseException as error:
                wrong = f'{type(error).__name__}: {error}'
            took = time.perf_counter() - start
            tried, slowest = tried + 1, max(slowest, took)
            if took > MOST_SECONDS:
                wrong = f'took {took:.1f} s'
            if peak_bytes() > MOST_BYTES and not said:
                wrong, said = f'held {peak_bytes() / 1e6:.0f} MB', True
            if wrong:
                print(json.dumps(dict(number=number, wrong=wrong[:300])), flush=True)
    print(json.dumps(dict(tried=tried, good=good, slowest=round(slowest, 3), peak=peak_bytes())), flush=True)


if __name__ == '__main__':
    main(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5])
