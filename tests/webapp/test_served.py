"""The page as the command serves it, asked over HTTP by Gradio's client."""

import urllib.error
import urllib.request
import zipfile

import pytest
from page_server import serving

from octfluid.inference.model import ScanModel

client = pytest.importorskip('gradio_client', reason='gradio is not installed (octfluid[app])')
pytestmark = pytest.mark.slow
REST = ('0.004, 0.01, 0.2', 'as the file says', 0.5, 0.7)


def test_each_user_has_a_scan_of_their_own(tmp_path, volume, frames):
    (tmp_path / 'bad.png').write_text('text')
    (tmp_path / 'big.mat').write_bytes(bytes(2 << 20))
    (tmp_path / 'users').write_text('anna:secret\n')
    (tmp_path / 'served').mkdir()
    with serving(tmp_path / 'served', '--max-upload', '1', '--auth', tmp_path / 'users') as server:
        places = dict(verbose=False, auth=('anna', 'secret'), download_files=str(tmp_path / 'fetched'))
        one, other = (client.Client(server.address, **places) for _ in range(2))
        status = one.predict(client.handle_file(volume), *REST, api_name='/outline')[0]
        assert f'{ScanModel(threads=1).mask(frames).sum()} px' in status
        said = other.predict(client.handle_file(tmp_path / 'bad.png'), *REST, api_name='/outline')[0]
        assert 'cannot be read' in said
        with zipfile.ZipFile(one.predict(api_name='/pack')['value']) as archive:
            assert 'v/v_mask.nii.gz' in archive.namelist()
        assert 'value' not in (other.predict(api_name='/pack') or {})
        with pytest.raises(Exception, match='maximum file size'):
            one.predict(client.handle_file(tmp_path / 'big.mat'), *REST, api_name='/outline')
        for path in ('/config', f'/gradio_api/file={tmp_path}/users', '/gradio_api/info'):
            with pytest.raises(urllib.error.HTTPError, match=r'401|403'):
                urllib.request.urlopen(server.address + path)
    assert 'secret' not in server.said()
