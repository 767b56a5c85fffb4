"""Read files in a process with limits: ``python limited.py TARGET GOOD_FILE FILE...`` prints a JSON line for every file.

The process may take 1 GB more memory than after it has read the good file, and 10 s of processor time for each file.
"""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

MOST_BYTES, MOST_SECONDS = 1 << 30, 10


def outcomes(target, good, paths):
    """Return what came of each file, by its path: 'read', 'InputError', or what went wrong."""
    found = dict.fromkeys(map(str, paths))
    while left := [path for path, outcome in found.items() if outcome is None]:
        command = [sys.executable, __file__, target, str(good), *left]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"path"')]  # libraries print, too
        found |= {line['path']: line['outcome'] for line in lines}
        if len(lines) < len(left):  # the process has ended at the next file
            assert lines or done.returncode < 0, done.stderr
            found[left[len(lines)]] = f'the process ended with {done.returncode} {done.stderr[-300:]}'
    return found


def main(name, good, *paths):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from fuzz_targets import TARGETS

    from octfluid.utils.errors import InputError

    read = TARGETS[name].read
    read(Path(good))  # loads the libraries
    most = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for path in paths:
        signal.alarm(2 * MOST_SECONDS)
        begun = time.process_time()
        try:
            read(Path(path))
            outcome = 'read'
        except InputError as error:
            one_line = '\n' not in str(error) and Path(path).name in str(error)
            outcome = 'InputError' if one_line else f'not one line that names the file: {error}'
        except BaseException as error:  # what must not happen
            outcome = f'{type(error).__name__}: {error}'
        if (seconds := time.process_time() - begun) > MOST_SECONDS:
            outcome = f'took {seconds:.0f} s'
        signal.alarm(0)
        print(json.dumps(dict(path=path, outcome=outcome[:300])), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
