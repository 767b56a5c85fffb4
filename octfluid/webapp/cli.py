"""Serve the web page that outlines and measures fluid in a scan."""

import errno
import ipaddress
import logging
import os
import socket
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from octfluid.utils.cli import ToolParser, exit_status_of
from octfluid.utils.errors import InputError, Interrupted
from octfluid.utils.text import read_text

if TYPE_CHECKING:
    from gradio import Blocks

_MOST_WAITING = 32
_SESSIONS = 256  # of which Gradio remembers anything
_KEPT_UPLOADS = 10  # of the largest size, together
_SECONDS_BETWEEN_SWEEPS = 60


def parse_args() -> Namespace:
    """Parse and check the command line."""
    parser = ToolParser(
        'Serve a page that outlines and measures fluid in a scan or volume, on this computer alone unless --host says '
        'otherwise. For research only; not a medical device.',
        'python tools/app.py --port 7860',
    )
    parser.add_argument('--model', type=Path, metavar='FILE.onnx', help='exported model (default: the one of the package)')
    parser.add_argument('--host', default='127.0.0.1', help='address to serve on (default: %(default)s, this computer alone)')
    parser.add_argument('--port', type=int, default=7860, help='(default: %(default)s)')
    parser.add_argument(
        '--auth',
        type=Path,
        metavar='FILE',
        help='ask for name and password; a text file with a line NAME:PASSWORD for each',
    )
    parser.add_argument('--max-upload', type=int, default=200, metavar='MB', help='largest file (default: %(default)s)')
    parser.add_argument(
        '--timeout', type=float, default=300, metavar='SECONDS', help='most work on one scan (default: %(default)s)'
    )
    args = parser.parse_args()
    if not 0 < args.port < 65536:
        parser.error(f'--port {args.port}: expected 1 to 65535')
    if args.max_upload < 1:
        parser.error(f'--max-upload {args.max_upload}: expected 1 MB or more')
    if not 0 < args.timeout < float('inf'):
        parser.error(f'--timeout {args.timeout:g}: expected a number of seconds above 0')
    return args


def read_users(path: Path) -> list[tuple[str, str]]:
    """Read names and passwords from a file with a line NAME:PASSWORD for each.

    Raises:
        InputError: It cannot be read, or a line is something else; the line itself is not shown.
    """
    try:
        lines = read_text(path, 'utf-8-sig').splitlines()
    except InputError as error:
        raise InputError(f'--auth {error} with a line NAME:PASSWORD for each user') from error
    users: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, colon, password = line.partition(':')
        name = name.strip()
        if not line.strip():
            continue
        if not (colon and name and password) or name in users:
            raise InputError(f'--auth {path}: line {number}: expected NAME:PASSWORD, each name once')
        users[name] = password
    if not users:
        raise InputError(f'--auth {path}: no users; expected a line NAME:PASSWORD for each')
    return list(users.items())


def is_local(host: str) -> bool:
    """Say whether only this computer can reach an address."""
    try:
        return ipaddress.ip_address(host.strip('[]')).is_loopback
    except ValueError:
        return host == 'localhost'


def in_address(host: str) -> str:
    """Return a host as it stands in an address, where IPv6 has brackets."""
    bare = host.strip('[]')
    return f'[{bare}]' if ':' in bare else bare


def require_address(host: str, port: int) -> None:
    """Raise InputError unless this computer can serve there."""
    if not host:  # would be all addresses
        raise InputError('--host: an empty name; expected an address of this computer, such as 127.0.0.1 or 0.0.0.0')
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        with socket.create_server((host.strip('[]'), port), family=family):
            pass
    except (OSError, TypeError) as error:  # the latter of a name that is no text
        if getattr(error, 'errno', None) in (errno.EADDRINUSE, errno.EACCES):
            raise InputError(f'--port {port}: {os.strerror(error.errno)}; choose another --port') from error
        raise InputError(f'--host {host}: no address of this computer; expected one, such as 127.0.0.1 or 0.0.0.0') from error


def main() -> None:
    """Run the command."""
    args = parse_args()
    users = read_users(args.auth) if args.auth else None
    require_address(args.host, args.port)
    if users is None and not is_local(args.host):
        print(
            f'warning: whoever reaches {in_address(args.host)}:{args.port} can use the page; --auth FILE asks for a password',
            file=sys.stderr,
        )
    from octfluid.webapp.folder import server_folder

    # Uploads and results are for the one who serves the page alone, and gone when it ends.
    with server_folder() as folder:
        tempfile.tempdir = str(folder)
        os.environ['GRADIO_TEMP_DIR'] = f'{folder}/gradio'
        os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # before it is imported: nothing is sent anywhere
        os.environ['NO_PROXY'] = ','.join(
            filter(None, (os.environ.get('NO_PROXY'), args.host.strip('[]'), '127.0.0.1,localhost'))
        )
        try:
            serve(args, users, folder / 'gradio')
        except Interrupted as signalled:
            sys.exit(signalled.exit_status)  # without a word: that is how a server is ended
        finally:
            tempfile.tempdir = None


def serve(args: Namespace, users: list[tuple[str, str]] | None, folder: Path) -> None:
    """Serve the page until it is ended; what it writes goes to ``folder``."""
    from octfluid.inference.predictor import Predictor
    from octfluid.webapp.app import SECONDS_KEPT, Page, build_page
    from octfluid.webapp.folder import delete_old_files
    from octfluid.webapp.quiet import silence_libraries
    from octfluid.webapp.session import Limits
    from octfluid.webapp.shelf import Shelf

    folder.mkdir()
    acts = Page(Predictor(args.model), Shelf(folder, seconds=SECONDS_KEPT), Limits(seconds=args.timeout))
    page = build_page(acts, folder)
    silence_libraries()
    try:
        _launch(page, args, users, folder)
    except OSError as error:
        raise InputError(f'--port {args.port}: cannot be served on {args.host}; choose another --port') from error
    print(f'serving http://{in_address(args.host)}:{args.port} (Ctrl-C ends it)', flush=True)
    try:
        while True:
            time.sleep(_SECONDS_BETWEEN_SWEEPS)
            acts.shelf.forget_old()
            delete_old_files(folder, SECONDS_KEPT)
    finally:
        logging.disable()  # of what is cut off here
        page.server.force_exit = True  # connections that are kept open would hold it up
        page.close(verbose=False)
        acts.stop()


def _launch(page: 'Blocks', args: Namespace, users: list[tuple[str, str]] | None, folder: Path) -> None:
    from starlette.middleware import Middleware

    from octfluid.webapp.guard import Guard
    from octfluid.webapp.layout import CSS, theme

    size = args.max_upload << 20  # as browsers and Gradio count
    guard = Middleware(Guard, folder=folder, max_upload=size, max_kept=_KEPT_UPLOADS * size)
    page.queue(max_size=_MOST_WAITING).launch(
        server_name=in_address(args.host),
        server_port=args.port,
        auth=users,
        max_file_size=size,
        state_session_capacity=_SESSIONS,
        app_kwargs={'middleware': [guard], 'docs_url': None, 'redoc_url': None, 'openapi_url': None},
        theme=theme(),
        css=CSS,
        footer_links=[],
        run_history=False,  # it would leave scans and results in the browser
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
    )


def console() -> None:
    """Entry point of ``octfluid-app``."""
    sys.exit(exit_status_of(main))
