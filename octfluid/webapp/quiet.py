"""Keep what names a patient out of a server's log: libraries quote names of files, and what stands in them."""

import logging
import sys
import traceback
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any


def _place_of(kind: type[BaseException] | None, trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    where = f' at {Path(frames[-1].filename).name}, line {frames[-1].lineno}' if frames else ''
    return f'{kind.__name__ if kind else "nothing"}{where}'


def _print_exc(*_: Any, **__: Any) -> None:
    """Stand in for `traceback.print_exc`, with which Gradio reports what failed."""
    kind, _, trace = sys.exc_info()
    print(f'error: {_place_of(kind, trace)}', file=sys.stderr, flush=True)


def _record_without_words(*args: Any, **options: Any) -> logging.LogRecord:
    record = logging.LogRecord(*args, **options)
    failed = f' ({_place_of(record.exc_info[0], record.exc_info[2])})' if record.exc_info else ''
    record.msg, record.args, record.exc_info = f'{record.levelname.lower()} of {record.name}{failed}', (), None
    return record


def silence_libraries() -> None:
    """From now on, in this process: warnings are not shown, and of errors only kind and place, never their words."""
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    logging.setLogRecordFactory(_record_without_words)
    traceback.print_exc = _print_exc
