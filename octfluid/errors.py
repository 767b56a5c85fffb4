"""The two kinds of failure this package reports on purpose.

Every message is one line that says what was found, where, what was expected, and what to do next.
"""


class OctfluidError(Exception):
    """Base class of the errors that a user can act on. ``exit_status`` is what a command line tool returns for it."""

    exit_status = 1


class InputError(OctfluidError):
    """Arguments, configs, files or data that cannot be used as they are (exit status 2)."""

    exit_status = 2


class WorkError(OctfluidError):
    """Work that began with good input and failed, such as a full disk (exit status 1)."""

    exit_status = 1
