"""A Python whose processes start with torch and MMSegmentation loaded: most of the time that a small command takes.

`python loaded_python.py FOLDER` loads the libraries and forks a process for each command of `FOLDER/python`. Nothing of
octfluid is loaded before: a command imports what its own script, working directory and PYTHONPATH name.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

LIBRARIES = ('matplotlib.figure', 'mmseg.apis', 'scipy.stats', 'torch._dynamo', 'torch.utils.tensorboard')
CLIENT = """#!{python} -IS
import json, os, socket, sys
arguments = sys.argv[1 + (sys.argv[1:2] == ['-u']):]
if not arguments or arguments[0] != '-m' and not arguments[0].endswith('.py'):
    os.execv({python!r}, [{python!r}, *arguments])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b' '], [0, 1, 2])
    server.sendall(json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(4) or 1))
"""


@contextlib.contextmanager
def loaded_python(folder):
    """The path of the interpreter, in a folder with a short name, while the block runs."""
    with subprocess.Popen([sys.executable, __file__, str(folder)]) as server:
        try:
            while not (folder / 'socket').exists():
                assert server.poll() is None, 'the libraries could not be loaded'
                time.sleep(0.05)
            yield folder / 'python'
        finally:
            server.kill()


def serve(folder):
    """Fork a process for each command, as long as the process lives that started this one."""
    for name in LIBRARIES:
        importlib.import_module(name)
    python, address, parent = folder / 'python', folder / 'socket', os.getppid()
    python.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    python.chmod(0o755)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / 'part'))
        listener.listen()
        listener.settimeout(10)
        (folder / 'part').rename(address)
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                if not os.fork():
                    client.sendall(str(run(client, python)).encode())
                    os._exit(0)
                client.close()


def run(client, python):
    """Run a client's command in this process; returns its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for place, given in enumerate(socket.recv_fds(client, 1, 3)[1]):
        os.dup2(given, place)
        os.close(given)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(place, mode, closefd=False) for place, mode in enumerate('rww'))
    with client.makefile('rb') as file:
        arguments, folder, environment = json.load(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    is_module = arguments[0] == '-m'
    sys.argv, sys.executable = arguments[is_module:], str(python)
    own = folder if is_module else str(Path(sys.argv[0]).resolve().parent)
    sys.path[:1] = [own, *filter(None, environment.get('PYTHONPATH', '').split(os.pathsep))]
    try:
        (runpy.run_module if is_module else runpy.run_path)(sys.argv[0], run_name='__main__')
        return 0
    except SystemExit as error:
        return int(error.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == '__main__':
    serve(Path(sys.argv[1]))
