"""Serve the web page that outlines and measures fluid in a scan."""

import os
import signal
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

from octfluid.errors import InputError
from octfluid.tooling import ToolParser, exit_status_of


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
    parser.add_argument('--max-megabytes', type=int, default=500, metavar='N', help='largest upload (default: %(default)s)')
    args = parser.parse_args()
    if not 0 < args.port < 65536:
        parser.error(f'--port {args.port}: expected 1 to 65535')
    if args.max_megabytes < 1:
        parser.error(f'--max-megabytes {args.max_megabytes}: expected 1 or more')
    return args


def main() -> None:
    """Run the command."""
    args = parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the block below is left as on Ctrl-C
    # Uploads and results are for the one who serves the page alone, and gone when it ends.
    with tempfile.TemporaryDirectory(prefix='octfluid-page-', ignore_cleanup_errors=True) as folder:
        os.environ['GRADIO_TEMP_DIR'] = f'{folder}/gradio'
        os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # before it is imported: nothing is sent anywhere
        serve(args, Path(folder))


def serve(args: Namespace, folder: Path) -> None:
    """Serve the page until it is ended; what it writes goes to ``folder``."""
    from octfluid.page.app import CSS, build_page, theme

    page = build_page(args.model, folder)
    try:
        page.queue(max_size=32).launch(
            server_name=args.host,
            server_port=args.port,
            max_file_size=f'{args.max_megabytes}mb',
            theme=theme(),
            css=CSS,
            footer_links=[],
            share=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise InputError(f'--port {args.port}: cannot be served on {args.host}; choose another --port') from error
    print(f'serving http://{args.host}:{args.port} (Ctrl-C ends it)', flush=True)
    try:
        while True:
            time.sleep(3600)
    finally:
        page.close(verbose=False)


def console() -> None:
    """Entry point of ``octfluid-app``."""
    sys.exit(exit_status_of(main))
