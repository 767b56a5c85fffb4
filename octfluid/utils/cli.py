"""What every command line tool shares: one-line argument errors, exit statuses and progress bars."""

import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from octfluid.utils.errors import InputError, Interrupted, OctfluidError

T = TypeVar('T')
_ENDING = [getattr(signal, name) for name in ('SIGTERM', 'SIGHUP') if hasattr(signal, name)]

EXTRAS = {
    'train': ('torch', 'mmengine', 'mmcv', 'mmseg', 'matplotlib', 'rich', 'tensorboard', 'jinja2'),
    'io': ('eyepy', 'oct_converter', 'pydicom'),
    'jpeg': ('libjpeg',),
    'deploy': ('onnx', 'onnxscript'),
    'app': ('gradio',),
    'cluster': ('submitit',),
    'bench': ('monai',),
}
"""Which extra of this package brings which packages; the base install brings the others."""


class ToolParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line on stderr and exit status 2; ``--help`` ends with ``example``."""

    def __init__(self, description: str, example: str, prog: str | None = None) -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, description=description, epilog=f'example:\n  {example}', formatter_class=layout)

    def error(self, message: str) -> None:
        """Print one line and leave with status 2."""
        self.exit(2, f'error: {message} (see {self.prog} --help)\n')


def parse_options(items: Sequence[str] | None) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` command line overrides, as MMSegmentation's ``--cfg-options``; text keeps its spaces."""
    from mmengine.config import DictAction

    options = {}
    for item in items or ():
        key, equals, value = item.partition('=')
        if not equals or not key:
            raise InputError(f'--cfg-options {item!r}: expected KEY=VALUE, such as train_cfg.max_iters=5')
        try:
            parsed = DictAction._parse_iterable(value)
        except (AssertionError, RecursionError) as error:
            raise InputError(f'--cfg-options {item!r}: {error}; expected as many brackets closed as opened') from error
        # mmengine removes spaces, which names of folders have.
        options[key] = value if isinstance(parsed, str) and not value.startswith(('"', "'")) else parsed
    return options


def seed_number(text: str) -> int:
    """Parse a random seed, as argparse's ``type``: a whole number that NumPy and torch both take."""
    if not text.isdecimal() or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f'{text}: expected a whole number from 0 to 4294967295')
    return int(text)


_LAUNCHERS = {
    'pytorch': ('RANK', 'LOCAL_RANK', 'WORLD_SIZE'),
    'slurm': ('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE'),
}
"""Variables of each launcher: rank, rank on the machine, number of processes."""


def positive_number(text: str) -> int:
    """Parse a number of things, as argparse's ``type``: a whole number, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text}: expected a whole number, 1 or more')
    return int(text)


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Give a tool the options of a job launcher: ``--launcher``, and ``--local_rank``, which some launchers add."""
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')


def begin_launched(args: argparse.Namespace) -> bool:
    """Set mmengine's rank variables from the launcher's; ``args`` are of a tool with the options of `add_launcher`.

    Returns:
        Whether this is the first of all processes: the one that prints the result.

    Raises:
        InputError: The launcher has not set its rank variables.
    """
    if args.launcher == 'none':  # variables of a cluster or an earlier command do not count
        os.environ['LOCAL_RANK'] = '0'
        return True
    if args.launcher == 'pytorch':
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    for name, own in zip(_LAUNCHERS['pytorch'], _LAUNCHERS[args.launcher], strict=True):
        if not os.environ.get(own, '').isdecimal():
            raise InputError(f'--launcher {args.launcher}: it has not set {own}; use tools/dist_train.sh, srun or mpirun')
        os.environ[name] = os.environ[own]
    if args.launcher == 'mpi' and os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE') == os.environ['WORLD_SIZE']:
        os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    return os.environ['RANK'] == '0'


def tracked(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yield the items; a terminal shows a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    # Without a terminal, rich would print an empty line.
    yield from track(items, description, total, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let `kill`, an ended session and a cluster's time limit end a tool as Ctrl-C does: with everything put away."""

    def end(number: int, _: Any) -> None:
        raise Interrupted(number)

    earlier = {}
    if threading.current_thread() is threading.main_thread():
        # What is ignored stays so: nohup ignores SIGHUP on purpose.
        earlier = {number: signal.signal(number, end) for number in _ENDING if signal.getsignal(number) == signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def missing_package(error: ModuleNotFoundError) -> str | None:
    """Return what to say of a package that an extra brings; None if none does."""
    package = (error.name or '').partition('.')[0]
    extra = next((name for name, packages in EXTRAS.items() if package in packages), None)
    return extra and f"this needs the package '{package}'; install it with pip install 'octfluid[{extra}]'"


def reason_of(path: Path, error: Exception) -> str:
    """Say in one line why an input could not be done, of what a reader or the model raises."""
    if isinstance(error, OctfluidError):
        return str(error)
    reason = str(error)
    if isinstance(error, ModuleNotFoundError):
        reason = missing_package(error) or reason
    elif isinstance(error, MemoryError):
        reason = 'takes more memory than there is; cut it into smaller volumes'
    elif isinstance(error, OSError):
        reason = error.strerror or reason
        if isinstance(error.filename, str) and path in Path(error.filename).parents:  # the file of a folder
            path = Path(error.filename)
    return f'{path}: {reason}'


def _flushed(main: Callable[[], int | None]) -> int:
    """Run a tool's ``main``, and write all that it printed while a failure to do so can still be reported."""
    try:
        return main() or 0
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # Its reader (such as `head`) has gone, or the disk is full; keep the interpreter from trying again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise


def exit_status_of(main: Callable[[], int | None]) -> int:
    """Run a tool's ``main`` (which returns an exit status, or None for 0) and return its exit status.

    That is 0 for success, 2 for bad arguments or input, 1 when work failed, 130 after Ctrl-C, 143 after SIGTERM and 129 after
    SIGHUP. A failure that the user can act on (`OctfluidError`, a missing extra, or an operating system error such as a full
    disk) becomes one line on stderr; any other exception is a bug and keeps its traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')  # as stderr: a name need not fit the terminal's character set
    try:
        with _ended_by_signals():
            return _flushed(main)
    except (OctfluidError, Interrupted) as error:
        status, message = error.exit_status, str(error)
    except ModuleNotFoundError as error:
        if (message := missing_package(error)) is None:
            raise
        status = 2
    except BrokenPipeError:
        return 1
    except OSError as error:
        name = error.filename2 or error.filename  # a renaming has two; the second is the user's
        where = f' ({name})' if name else ''
        status, message = 1, f'{error.strerror or error}{where}; files written before this are intact'
    except KeyboardInterrupt:
        status, message = 130, 'interrupted'
    print('error: ' + ' '.join(message.split()), file=sys.stderr)
    return status
