import subprocess
import sys

CODE = """
import logging, traceback, warnings
from octfluid.webapp.quiet import silence_libraries
silence_libraries()
warnings.warn('Mueller')
logging.getLogger('reader').warning('cannot read %s', 'Mueller.png')
logging.getLogger('reader').error('cannot read %s', 'Mueller.png')
try:
    raise KeyError('Mueller')
except KeyError:
    traceback.print_exc()
    logging.getLogger('server').exception('failed on Mueller')
"""


def test_the_log_says_what_failed_and_where_and_never_on_whose_file():
    found = subprocess.run([sys.executable, '-c', CODE], capture_output=True, text=True, check=True)
    assert found.stdout == ''
    assert found.stderr.splitlines() == [
        'error of reader',
        'error: KeyError at <string>, line 9',
        'error of server (KeyError at <string>, line 9)',
    ]
