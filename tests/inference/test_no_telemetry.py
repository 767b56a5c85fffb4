import os
import subprocess
import sys

CODE = 'from octfluid import Predictor; import numpy as np; Predictor(threads=1).model.mask(np.zeros((1, 32, 32), np.uint8))'


def test_the_runtime_leaves_no_identifier_and_no_queue_of_reports(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key not in ('CI', 'ORT_DISABLE_TELEMETRY')}
    places = dict.fromkeys(('HOME', 'TMPDIR', 'XDG_CACHE_HOME'), str(tmp_path))
    subprocess.run([sys.executable, '-c', CODE], env=environment | places, check=True)
    assert list(tmp_path.iterdir()) == []
