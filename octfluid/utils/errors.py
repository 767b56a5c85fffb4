"""The two kinds of failure this package reports on purpose, and the end of work that a signal asks for.

Every message is one line that says what was found, where, what was expected, and what to do next.
"""

import signal


class OctfluidError(Exception):
    """Base class of the errors that a user can act on. ``exit_status`` is what a command line tool returns for it."""

    exit_status = 1


class InputError(OctfluidError):
    """Arguments, configs, files or data that cannot be used as they are (exit status 2)."""

    exit_status = 2


class WorkError(OctfluidError):
    """Work that began with good input and failed, such as a full disk (exit status 1)."""


class Interrupted(KeyboardInterrupt):
    """A signal has ended the work; what handles Ctrl-C handles this. ``exit_status`` is 128 plus its number, as in shells."""

    def __init__(self, number: int, message: str | None = None) -> None:
        super().__init__(message or f'interrupted by {signal.Signals(number).name}')
        self.exit_status = 128 + number


def message_of(error: Exception) -> str:
    """Return an error's message in one line; of one from a loader's worker, the worker's own without the traceback."""
    text = str(error).strip()
    if text.startswith('Caught ') and '\nOriginal Traceback' in text:
        text = text.splitlines()[-1].partition(': ')[2]
    return ' '.join(text.split()) or type(error).__name__
