"""Contenders that do the same work by turns, each in a process of its own, so that ratios hold on a machine that others use.

Each has its own memory, threads and caches; while one works the others wait.
"""

import multiprocessing
import statistics
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from octfluid.engine.plan import peak_memory
from octfluid.utils.errors import InputError, OctfluidError, WorkError

Turn = Callable[[], Mapping[str, float]]
"""Does the work once and returns its ``seconds``, and what else was measured, such as ``waited``."""


@dataclass
class Measured:
    """What one contender did.

    Attributes:
        turns: What each turn returned, in order.
        peak_bytes: Most memory that its process held, or the GPU for it, if it computes on one.
    """

    turns: list[dict[str, float]] = field(default_factory=list)
    peak_bytes: int = 0

    def seconds(self) -> list[float]:
        """Return the seconds of each turn."""
        return [turn['seconds'] for turn in self.turns]


def take_turns(
    contenders: Mapping[str, Callable[[], Turn]], repeats: int, progress: Callable[[int, int], None] | None = None
) -> dict[str, Measured]:
    """Let contenders work by turns; each works once before, unmeasured.

    Args:
        contenders: By name, what makes a turn; it is called in the contender's process, so it must be picklable.
        repeats: Measured turns of each, at least 1. Each round begins with another contender.
        progress: Called with (turns done, turns in all), the unmeasured ones among them.

    Raises:
        InputError: As raised by a contender.
        WorkError: A contender failed; the message names it and gives the last line of its error.
    """
    names = list(contenders)
    found = {name: Measured() for name in names}
    total = len(names) * (repeats + 1)
    with ExitStack() as stack:
        workers = {name: stack.enter_context(_Worker(name, contenders[name])) for name in names}
        done = 0
        for repeat in range(-1, repeats):
            first = max(repeat, 0) % len(names)
            for name in names[first:] + names[:first]:
                turn = workers[name].ask('turn')
                if repeat >= 0:
                    found[name].turns.append(turn)
                done += 1
                if progress is not None:
                    progress(done, total)
        for name in names:
            found[name].peak_bytes = workers[name].ask('memory')
    return found


def ratios(reference: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest of the ratios of paired seconds: above 1 where the other is faster."""
    paired = [one / another for one, another in zip(reference, other, strict=True)]
    return dict(ratio_median=statistics.median(paired), ratio_min=min(paired), ratio_max=max(paired))


class _Worker:
    """A process that does what it is asked to, until the block ends."""

    def __init__(self, name: str, contender: Callable[[], Turn]) -> None:
        self.name = name
        context = multiprocessing.get_context('spawn')
        self.connection, theirs = context.Pipe()
        # No daemon: it has loader workers of its own.
        self.process = context.Process(target=_serve, args=(theirs, contender), name=f'benchmark-{name}')
        self.process.start()
        theirs.close()

    def __enter__(self) -> '_Worker':
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()  # the process ends when it finds that
        self.process.join(timeout=20)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def ask(self, what: str) -> Any:
        try:
            self.connection.send(what)
            status, answer = self.connection.recv()
        except (EOFError, OSError) as error:
            self.process.join(timeout=20)
            raise WorkError(f'{self.name}: its process ended, exit status {self.process.exitcode}') from error
        if status == 'input':
            raise InputError(answer)
        if status == 'failed':
            raise WorkError(f'{self.name}: {answer}')
        return answer


def _serve(connection: Connection, contender: Callable[[], Turn]) -> None:
    """Answer until the other side is closed."""
    turn = None
    while True:
        try:
            asked = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            if turn is None:
                turn = contender()
            answer = 'done', peak_memory() if asked == 'memory' else dict(turn())
        except KeyboardInterrupt:
            return
        except OctfluidError as error:
            answer = ('input' if isinstance(error, InputError) else 'failed'), str(error)
        except Exception as error:
            # Whatever goes wrong in there must reach the other side, or it would wait for ever.
            answer = 'failed', traceback.format_exception_only(error)[-1].strip()
        connection.send(answer)
