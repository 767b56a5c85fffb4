"""Visitors of a page, good and bad, that come through its routes as a browser does."""

import io
import os
import socket
import threading
import time
from collections import Counter

import httpx
import numpy as np
from dicom_files import write as write_dicom
from gradio_client import Client, handle_file
from PIL import Image
from scipy.io import savemat
from vol_files import vol_bytes

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.model import ScanModel

NAME = 'Mueller_Erika_1950'  # of a patient, in the names of all files
AS_THE_FILE_SAYS = ('', 'as the file says', 0.5, 0.7)
FRAMES = np.stack([make_phantom(seed, 240, 320, fluid=True)[0] for seed in range(6)])
MEGABYTES = 8  # of the largest upload


def write_uploads(folder):
    """Write what visitors upload; returns {kind: (path, words of the answer)}, those that begin with ``good`` with fluid."""
    pixels = ScanModel(threads=1).mask(FRAMES).sum(axis=(1, 2))
    paths = {kind: folder / f'{NAME}_{kind}' for kind in ('b.png', 'v.mat', 'v.vol', 'text.png', 'cut.png', 'cut.vol', 'p.dcm')}
    Image.fromarray(FRAMES[0]).save(paths['b.png'])
    savemat(paths['v.mat'], {'images': FRAMES.transpose(1, 2, 0)})
    paths['v.vol'].write_bytes(vol_bytes(FRAMES[:3], patient=NAME.encode()[:20]))
    paths['text.png'].write_text(f'Dear Ms {NAME}')
    paths['cut.png'].write_bytes(paths['b.png'].read_bytes()[:9000])
    paths['cut.vol'].write_bytes(paths['v.vol'].read_bytes()[:-5000])
    write_dicom(paths['p.dcm'], PatientName=NAME, Modality='CT', Rows=9999)
    return {
        'good B-scan': (paths['b.png'], f'Fluid: {pixels[0]} px'),
        'good volume': (paths['v.mat'], f'B-scans, {pixels.sum()} px'),
        'good .vol': (paths['v.vol'], 'of 3 B-scans'),
        'bad: text': (paths['text.png'], 'Not done'),
        'bad: cut picture': (paths['cut.png'], 'Not done'),
        'bad: cut volume': (paths['cut.vol'], 'Not done'),
        'bad: wrong DICOM': (paths['p.dcm'], 'Not done'),
    }


def outline(client, path):
    """Upload a file and have it outlined; returns what is said of it, and the picture's address."""
    status, _, picture, *_ = client.predict(handle_file(str(path)), *AS_THE_FILE_SAYS, api_name='/outline')
    return status, picture


def visitor(server):
    """A new visitor; files are left on the page."""
    return Client(server.address, verbose=False, download_files=False)


def send_too_much(server, megabytes):
    """Upload past what browsers refuse by themselves; returns status and answer."""
    files = {'files': (f'{NAME}_huge.png', io.BytesIO(bytes(megabytes << 20)))}
    answer = httpx.post(f'{server.address}/gradio_api/upload', files=files, timeout=120)
    return answer.status_code, answer.text


def break_off(server):
    """Begin an upload, and go away in the middle of it."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{NAME}.png"\r\n\r\n'.encode()
    with socket.create_connection(('127.0.0.1', server.port)) as connection:
        connection.sendall(
            b'POST /gradio_api/upload HTTP/1.1\r\nHost: page\r\nContent-Type: multipart/form-data; boundary=x\r\n'
            b'Content-Length: 1000000\r\n\r\n' + head + os.urandom(200_000)
        )


def send_nonsense(server):
    """Call functions of the page with arguments that make no sense; returns the status."""
    body = dict(data=[NAME, {'path': f'/etc/{NAME}'}, [], None], fn_index=0, session_hash=NAME)
    return httpx.post(f'{server.address}/gradio_api/queue/join', json=body, timeout=60).status_code


class Crowd:
    """Visitors who come, outline what they have, and leave, all at once.

    Attributes:
        tried, held: By kind of request, how often it was made and how often it ended as it should.
        wrong: What was answered instead, a few of each kind.
        seconds: Of each good request, the queue included.
    """

    def __init__(self, server, uploads):
        self.server, self.uploads = server, uploads
        self.tried, self.held, self.wrong, self.seconds = Counter(), Counter(), [], []
        self._lock = threading.Lock()

    def _note(self, kind, held, answer):
        with self._lock:
            self.tried[kind] += 1
            self.held[kind] += bool(held)
            if not held:
                self.wrong.append((kind, str(answer)[:300]))

    def _ask(self, client, kind):
        path, words = self.uploads[kind]
        begun = time.monotonic()
        try:
            status, picture = outline(client, path)
            held = words in status
            if kind.startswith('good'):
                self.seconds.append(time.monotonic() - begun)
                shown = httpx.get(picture['url'], timeout=60)
                held = held and Image.open(io.BytesIO(shown.content)).width >= 512
            self._note(kind, held, status)
        except Exception as error:  # whatever goes wrong is a failed request
            self._note(kind, False, repr(error))

    def _visit(self, number, until):
        kinds, turn = list(self.uploads), number
        while time.monotonic() < until:
            try:
                client = visitor(self.server)
            except httpx.TransportError as error:
                self._note('good: comes', False, repr(error))
                time.sleep(1)
                continue
            for _ in range(5):
                self._ask(client, kinds[turn % len(kinds)])
                turn += 1
            client.close()
            if number % 4 == 0:
                status, said = send_too_much(self.server, MEGABYTES + 4)
                self._note('huge', status == 413 and f'at most {MEGABYTES} MB' in said, (status, said))
                break_off(self.server)
                send_nonsense(self.server)

    def come(self, number, seconds):
        """Come, ``number`` at once, for so long."""
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._visit, args=(place, until)) for place in range(number)]
        for thread in threads:
            thread.start()
        return threads

    def counts(self, first):
        """Return (tried, held) of the kinds that begin so."""
        return tuple(sum(n for kind, n in counter.items() if kind.startswith(first)) for counter in (self.tried, self.held))
