"""Serve the web page that outlines and measures fluid in a scan."""

import logging
import os
import socket
import sys
import tempfile
import threading
from argparse import Namespace
from pathlib import Path

from octfluid.utils.cli import ToolParser, exit_status_of, positive_number
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_text


def _parse_args() -> Namespace:
    parser = ToolParser(
        'Serve a page that outlines and measures fluid in a scan or volume, on this computer alone unless --host says '
        'otherwise. For research only; not a medical device.',
        'python tools/app.py --port 7860',
    )
    parser.add_argument('--model', type=Path, metavar='FILE.onnx', help='exported model (default: the one of the package)')
    parser.add_argument('--host', default='127.0.0.1', help='address to serve on (default: %(default)s, this computer alone)')
    parser.add_argument('--port', type=int, default=7860, help='(default: %(default)s)')
    parser.add_argument(
        '--auth', type=Path, metavar='FILE', help='ask for name and password; a text file of lines NAME:PASSWORD'
    )
    parser.add_argument(
        '--max-upload', type=positive_number, default=200, metavar='MB', help='largest file (default: %(default)s)'
    )
    args = parser.parse_args()
    if not args.host:  # would be all addresses
        parser.error('--host: an empty name; expected an address of this computer, such as 127.0.0.1')
    return args


def read_users(path: Path) -> list[tuple[str, str]]:
    """Read names and passwords from a file of lines NAME:PASSWORD; raise InputError, which shows no line, for others."""
    lines = [line.partition(':') for line in read_text(path, 'utf-8-sig').splitlines() if line.strip()]
    users = {name.strip(): password for name, _, password in lines}
    if not users or len(users) < len(lines) or not all((*users, *users.values())):
        raise InputError(f'--auth {path}: expected lines NAME:PASSWORD, each name once')
    return list(users.items())


def main() -> None:
    """Run the command."""
    args = _parse_args()
    users = read_users(args.auth) if args.auth else None
    try:
        socket.create_server((args.host, args.port)).close()
    except (OSError, OverflowError) as error:
        raise InputError(f'--host {args.host} --port {args.port}: cannot serve there ({error}); choose another') from error
    if users is None and args.host not in ('127.0.0.1', 'localhost', '::1'):
        print(f'warning: anyone on {args.host} can use the page; --auth FILE asks for a password', file=sys.stderr)
    # Uploads and results: only the user who serves the page can read them, and they are deleted at the end.
    with tempfile.TemporaryDirectory(prefix='octfluid-page-', ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder
        os.environ |= dict(
            GRADIO_TEMP_DIR=f'{folder}/gradio',
            GRADIO_ANALYTICS_ENABLED='False',
            NO_PROXY=','.join(filter(None, (os.environ.get('NO_PROXY'), args.host, '127.0.0.1,localhost'))),
        )
        serve(args, users)


def serve(args: Namespace, users: list[tuple[str, str]] | None) -> None:
    """Serve the page until a signal ends it."""
    from octfluid.inference.predictor import Predictor
    from octfluid.webapp.app import CSS, THEME, build_page  # after the environment is set: this imports Gradio

    page, handlers = build_page(Predictor(args.model))
    try:
        page.launch(
            server_name=args.host,
            server_port=args.port,
            auth=users,
            max_file_size=args.max_upload << 20,
            theme=THEME,
            css=CSS,
            footer_links=[],
            run_history=False,  # it would leave scans in the browser
            ssr_mode=False,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
        )
        print(f'serving http://{args.host}:{args.port} (Ctrl-C ends it)', flush=True)
        threading.Event().wait()
    finally:
        logging.disable()  # of connections that are cut off here
        page.server.force_exit = True  # open connections would delay the end
        page.close(verbose=False)
        handlers.stop()


def console() -> None:
    """Entry point of ``octfluid-app``."""
    sys.exit(exit_status_of(main))
