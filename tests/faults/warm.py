"""Start tools without waiting for their imports, so that a kill lands in what they do.

    python warm.py serve SOCKET                        imports everything once, then forks a process for every order
    python warm.py run SOCKET tools/train.py ARG...    has a tool run there, as if it ran here

A forked tool is a process like any other: a group of its own, its own output, ended by the interpreter's usual way out or by a
signal. One whose orderer has gone is killed with it.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys


def serve(path):
    """Fork a keeper, and in it a tool, for every connection."""
    import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers end by themselves
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(64)
    print('ready', flush=True)
    while True:
        connection, _ = server.accept()
        if os.fork() == 0:
            server.close()
            return keep(connection, path)
        connection.close()


def import_all():
    """Import what tools take seconds to import; not ONNX Runtime, which cannot end in a forked process."""
    from yapf.yapflib import yapf_api

    yapf_api.FormatCode = lambda text, **_: (text, True)  # lays out the config in the log, and takes long to


def keep(connection, path):
    """Fork a tool, tell its number and in the end its status, and kill it if nobody listens any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, descriptors, *_ = socket.recv_fds(connection, 1 << 20, 2)
    child = os.fork()
    if child == 0:
        connection.close()
        return run_tool(json.loads(message), descriptors, path)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    connection.sendall(f'{child}\n'.encode())
    connection.settimeout(0.01)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        with contextlib.suppress(TimeoutError):
            if done:
                connection.sendall(f'{os.waitstatus_to_exitcode(status)}\n'.encode())
                os._exit(0)
            if connection.recv(1) == b'':
                os.killpg(child, signal.SIGKILL)
                os._exit(0)


def run_tool(order, descriptors, path):
    """Become the tool: its place, arguments, output and signals."""
    os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(descriptors[0], 1)
    os.dup2(descriptors[1], 2)
    os.chdir(order['folder'])
    sys.argv = order['arguments']

    class Popen(subprocess.Popen):
        """Has the trainings of a sweep run here, too."""

        def __init__(self, command, *rest, **named):
            if len(command) > 1 and str(command[1]).endswith('tools/train.py'):
                command = [sys.executable, '-I', '-S', __file__, 'run', path, *command[1:]]
            super().__init__(command, *rest, **named)

    subprocess.Popen = Popen
    runpy.run_path(sys.argv[0], run_name='__main__')


def order(path, arguments, folder, out, err):
    """Have a tool run; returns the connection and the number of its process."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    message = json.dumps(dict(arguments=arguments, folder=str(folder))).encode()
    socket.send_fds(connection, [message], [out, err])
    return connection, int(read_line(connection))


def read_line(connection):
    """Read up to a line end."""
    line = b''
    while not line.endswith(b'\n'):
        line += connection.recv(1) or b'\n'
    return line


def run(path, arguments):
    """Stand for a tool that runs elsewhere: hand on signals, and end as it ends."""
    connection, child = order(path, arguments, os.getcwd(), 1, 2)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.killpg(child, number))
    sys.exit(int(read_line(connection)) % 256)


if __name__ == '__main__':
    serve(sys.argv[2]) if sys.argv[1] == 'serve' else run(sys.argv[2], sys.argv[3:])
