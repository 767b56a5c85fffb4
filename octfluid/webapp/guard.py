"""What stands before the page's routes: which are open at all, how much may be sent, and what a browser may do with answers."""

import os
import re
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

_API = '/gradio_api/'
_UPLOAD, _FILE = f'{_API}upload', f'{_API}file='
# What the page and Gradio's own client use. Gradio has many more, some of which fetch addresses or write files.
_OPEN = re.compile(
    r'/|/(config|login|logout|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?|/(assets|static)/.*|'
    rf'{_API}(info|upload|upload_progress|startup-events|reset|cancel|queue/join|queue/data|heartbeat/\w+|file=.*)/?',
    re.DOTALL,
)
_RANGE = re.compile(rb'bytes=(\d{1,15}-\d{0,15}|-\d{1,15})')
_FRAMING = 64 << 10  # of a file in a form
_WORDS = 1 << 20  # of any other request
HEADERS = {
    # The browser itself keeps to it: nothing is fetched from, or sent, anywhere else.
    'content-security-policy': "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; form-action 'self'; "
    "base-uri 'self'; frame-ancestors 'self'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
}


def bytes_below(folder: Path) -> int:
    """Return how many bytes the files below a folder take; files that go away meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total


class Guard:
    """An ASGI middleware around the page.

    Args:
        app: What answers.
        folder: Of uploads and results; no other file is served.
        max_upload: Bytes of one upload.
        max_kept: Bytes of all files in the folder; more are not taken.
    """

    def __init__(self, app: Any, folder: Path, max_upload: int, max_kept: int) -> None:
        self.app, self.folder, self.max_upload, self.max_kept = app, folder.resolve(), max_upload, max_kept

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Answer a request, or have it answered."""
        if scope['type'] == 'lifespan':
            await self.app(scope, receive, send)
            return
        if scope['type'] != 'http':
            return  # the page has no web sockets

        async def guarded(message: dict) -> None:
            if message['type'] == 'http.response.start':
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if scope['path'].startswith(_FILE):
                    headers['cache-control'] = 'no-store'  # a scan does not stay in the browser
            await send(message)

        # Gradio fails on several ranges at once, which a server may ignore.
        scope = scope | {'headers': [one for one in scope['headers'] if one[0] != b'range' or _RANGE.fullmatch(one[1])]}
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, guarded)
            return
        more = scope['method'] == 'POST'
        while more:  # who still sends hears nothing: what comes is read, and kept nowhere
            message = await receive()
            more = message['type'] == 'http.request' and message.get('more_body', False)
        status, words = refusal
        await PlainTextResponse(words, status)(scope, receive, guarded)

    def _refusal(self, scope: dict) -> tuple[int, str] | None:
        """Return status and words for what is not answered."""
        path = scope['path']
        if not _OPEN.fullmatch(path) or (path.startswith(_FILE) and not self._is_ours(path.removeprefix(_FILE))):
            return 404, 'There is nothing here.'
        if scope['method'] != 'POST':
            return None
        length = Headers(scope=scope).get('content-length', '')
        if not length.isdecimal():
            return 411, 'Send a Content-Length.'
        upload = path.rstrip('/') == _UPLOAD
        if int(length) > (self.max_upload + _FRAMING if upload else _WORDS):
            return 413, f'Too large: a file of at most {self.max_upload >> 20} MB is taken; for more use tools/predict.py.'
        if upload and bytes_below(self.folder) + int(length) > self.max_kept:
            return 503, 'Too many files are held here at the moment; come back in half an hour.'
        return None

    def _is_ours(self, path: str) -> bool:
        try:
            return Path(path).is_absolute() and Path(path).resolve().is_relative_to(self.folder)
        except (OSError, ValueError):
            return False
