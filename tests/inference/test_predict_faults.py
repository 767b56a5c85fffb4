"""What is there already, what fails, and what is cut short."""

import json
import os
import shutil

import pytest
from PIL import Image
from predicted import FRAMES, listing, table

from octfluid.inference import outputs

pytestmark = pytest.mark.usefixtures('quick')
SCALE = ['--spacing', '0.004,0.012,0.25']


@pytest.fixture
def stop_at(monkeypatch):
    """Makes the command raise an error when it comes to an input of this name; called without, it goes on again."""

    def call(name=None, error=KeyboardInterrupt):
        def stop(results, one, *rest):
            if one == name:
                raise error
            return whole(results, one, *rest)

        monkeypatch.setattr(outputs.Results, 'add_input', stop)

    whole = outputs.Results.add_input
    return call


def contents(out):
    return {name: (out / name).read_bytes() for name in listing(out)}


def test_results_are_replaced_only_on_demand_and_once_all_is_right(run, scans, tmp_path):
    out = tmp_path / 'out'
    assert run(scans / 'b8.png', '--out', out)[0] == 0
    before = contents(out)
    for arguments, named in (
        ([scans / 'b8.png'], '--overwrite'),
        ([scans / 'b9.png', '--overwrite', '--model', tmp_path / 'typo.onnx'], 'typo.onnx'),
        ([out / 'b8_mask.png', '--overwrite'], 'b8_mask.png: '),  # would remove its own input
    ):
        status, _, errors = run(*arguments, '--out', out)
        assert status == 2 and errors.count('\n') == 1 and named in errors and contents(out) == before
    assert run(scans / 'b9.png', '--out', out, '--overwrite')[0] == 0 and 'b8_mask.png' not in listing(out)


def test_a_call_that_was_cut_short_is_repeated_and_no_other_goes_on(run, scans, tmp_path, stop_at):
    out = tmp_path / 'out'
    stop_at('b10')
    assert run(scans, '--out', out)[0] == 130
    assert 'manifest.partial.json' in listing(out) and 'manifest.json' not in listing(out)
    stop_at()
    for arguments in ([scans / 'b8.png'], [scans, '--threshold', '0.9']):
        status, _, errors = run(*arguments, '--out', out)
        assert status == 2 and 'manifest.partial.json' in errors
    assert run(scans, '--out', out)[0] == 0
    assert 'manifest.partial.json' not in listing(out) and len(table(out)) == 4


def test_a_full_disk_ends_the_call_and_keeps_what_is_done(run, scans, tmp_path, stop_at):
    stop_at('b9', OSError(28, 'No space left on device'))
    status, _, errors = run(scans, '--out', tmp_path / 'out')
    assert status == 1 and errors.splitlines()[-1].startswith('error: No space left on device')
    assert 'manifest.partial.json' in listing(tmp_path / 'out') and 'b8_mask.png' in listing(tmp_path / 'out')


def test_a_bad_file_does_not_stop_the_others(run, scans, tmp_path):
    (scans / 'b9.png').write_text('a letter')
    status, said, errors = run(scans, '--out', tmp_path / 'out', *SCALE)
    assert status == 1 and '3 of 4 inputs done' in said
    assert [line for line in errors.splitlines() if line.startswith(f'failed: {scans / "b9.png"}: ')]
    assert [row['input'] for row in table(tmp_path / 'out')] == ['b8', 'b10', 'b11']
    inputs = json.loads((tmp_path / 'out/manifest.json').read_text())['inputs']
    assert [one['status'] for one in inputs] == ['done', 'failed', 'done', 'done'] and 'b9.png' in inputs[1]['error']
    assert run(scans / 'b9.png', '--out', tmp_path / 'all bad')[0] == 2


def test_what_fails_half_way_leaves_nothing(run, tmp_path):
    pages = [Image.fromarray(FRAMES[place]) for place in range(3)] + [Image.fromarray(FRAMES[3][:80])]
    pages[0].save(tmp_path / 'v.tif', save_all=True, append_images=pages[1:])
    status, _, errors = run(tmp_path / 'v.tif', '--out', tmp_path / 'out')
    assert status == 2 and 'B-scan 3' in errors
    assert listing(tmp_path / 'out') == ['manifest.json', 'measurements.csv', 'measurements.json']
    assert not [path for path in (tmp_path / 'out').iterdir() if path.is_dir()]
    Image.fromarray(FRAMES[0]).save(tmp_path / 'v.tif')
    assert run(tmp_path / 'v.tif', '--out', tmp_path / 'out')[0] == 0, 'nothing was done, so there is nothing to keep'


def test_a_file_of_the_users_is_not_removed_by_a_strange_manifest(run, scans, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (tmp_path / 'mine.txt').write_text('mine')
    content = dict(schema='octfluid.prediction/1', inputs=[dict(outputs=['../mine.txt', '../in/b8.png'])])
    (out / 'manifest.json').write_text(json.dumps(content))
    assert run(scans / 'b8.png', '--out', out, '--overwrite')[0] == 0
    assert (tmp_path / 'mine.txt').read_text() == 'mine' and (scans / 'b8.png').exists()


def test_two_inputs_never_share_a_result(run, tmp_path):
    (tmp_path / 'in/v').mkdir(parents=True)
    pages = [Image.fromarray(frame) for frame in FRAMES]
    pages[0].save(tmp_path / 'in/v.tif', save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / 'in/v/v_z000.png')
    status, _, errors = run(tmp_path / 'in', '--recursive', '--out', tmp_path / 'out')
    assert status == 1 and 'v_z000.png: ' in errors


def test_a_name_that_is_too_long_or_no_text_does_not_stop_the_others(run, scans, tmp_path):
    os.rename(scans / 'b8.png', scans / f'{"x" * 245}.png')
    (scans / 'b9.png').unlink()
    shutil.copy(scans / 'b10.png', os.fsencode(scans) + b'/caf\xe9.png')
    status, _, errors = run(scans, '--out', tmp_path / 'out')
    assert status == 1 and errors.count('failed: ') == 1 and 'File name too long' in errors
    assert {row['input'] for row in table(tmp_path / 'out')} == {'b10', 'b11', 'caf\\udce9'}


@pytest.mark.parametrize('name', ['b8_overlay.png', 'v/v_z000_mask.png'])
def test_a_file_of_the_users_is_not_replaced_unasked(run, scans, mat, tmp_path, name):
    own = tmp_path / 'out' / name
    own.parent.mkdir(parents=True)
    own.write_text('mine')
    status, _, errors = run(scans / 'b8.png', mat, '--out', tmp_path / 'out')
    assert status == 1 and f'{name}: is there already' in errors and own.read_text() == 'mine'
    assert run(scans / 'b8.png', mat, '--out', tmp_path / 'out', '--overwrite')[0] == 0 and own.read_bytes() != b'mine'
