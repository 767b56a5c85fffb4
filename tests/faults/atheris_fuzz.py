"""Look for files that break a reader, guided by which lines of the parsers they reach; runs until stopped, or for some time.

    python tests/faults/atheris_fuzz.py vol --seconds 300 --corpus work_dirs/corpus/vol

Atheris is no dependency of this package: `pip install atheris==3.0.0`. What is found is written to `--found`; made as small
as can be, it belongs into tests/io/test_changed_files.py.
"""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    import atheris
except ModuleNotFoundError:
    sys.exit('error: this needs Atheris; install it with pip install atheris==3.0.0')

_PARSERS = ['octfluid', 'eyepy', 'oct_converter', 'construct', 'construct_typed', 'nibabel', 'pydicom', 'PIL', 'json']

with atheris.instrument_imports(include=_PARSERS):
    from fuzz_targets import TARGETS

    from octfluid.utils.errors import OctfluidError


def main():
    """Parse the arguments, write the seeds, and start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('reader', choices=TARGETS)
    parser.add_argument('--seconds', type=int, default=0, metavar='N', help='how long; 0 for without end')
    parser.add_argument('--corpus', type=Path, metavar='DIR', help='files that reach something, kept for next time')
    parser.add_argument('--found', type=Path, default=Path('work_dirs/found'), metavar='DIR', help='where findings are written')
    args = parser.parse_args()
    target = TARGETS[args.reader]
    with tempfile.TemporaryDirectory() as folder:
        corpus = args.corpus or Path(folder) / 'corpus'
        for new in (corpus, args.found):
            new.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target.seeds(Path(folder))):
            (corpus / f'seed{number}').write_bytes(seed)
        path = Path(folder) / f'x{target.suffix}'

        @atheris.instrument_func
        def read(content):
            path.write_bytes(target.pack(content))
            with contextlib.suppress(OctfluidError):
                target.read(path)

        limits = ['-timeout=5', '-rss_limit_mb=1024', '-max_len=65536', f'-max_total_time={args.seconds}']
        atheris.Setup([sys.argv[0], str(corpus), f'-artifact_prefix={args.found}/{args.reader}-', *limits], read)
        atheris.Fuzz()


if __name__ == '__main__':
    main()
