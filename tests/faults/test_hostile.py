"""Files made to run code, to read what they should not, or to write outside of the folder of the results."""

import ast
import json
import os
import pickle
import runpy
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from faults.ledger import note
from PIL import Image
from scipy.io import savemat
from scipy.io.matlab import MatlabObject

from octfluid.inference import cli as predict
from octfluid.utils.cli import exit_status_of

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')

ROOT = Path(__file__).resolve().parents[2]
COMMAND = 'python -m pytest tests -m faults -k test_hostile'
SCAN = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint8)


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs a tool in this process: status and what it says on stderr."""

    def call(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        try:
            main = predict.main if name == 'predict.py' else runpy.run_path(str(ROOT / 'tools' / name))['main']
            status = exit_status_of(main)
        except SystemExit as stop:
            status = stop.code
        return status, capsys.readouterr().err

    return call


def evil_checkpoints(trace):
    """Name and writer of files that make a folder when they are unpickled."""
    content = {'state_dict': {'weight': torch.zeros(2)}, 'meta': Bomb(trace)}
    return {
        'evil.pth': lambda path: torch.save(content, path),
        'legacy.pth': lambda path: torch.save(content, path, _use_new_zipfile_serialization=False),
        'pickle.pth': lambda path: path.write_bytes(pickle.dumps(content)),
        'named.safetensors': lambda path: path.write_bytes(pickle.dumps(content)),
    }


def test_no_tool_runs_code_that_a_checkpoint_holds(tool, phantoms, tmp_path):
    trace, work = tmp_path / 'trace', tmp_path / 'work'
    config, options = ROOT / 'configs/smoke/phantom.py', ['--cfg-options', f'data_root={phantoms}']
    tried, ran = [], []
    for name, write in evil_checkpoints(trace).items():
        path = tmp_path / name
        write(path)
        work.mkdir(exist_ok=True)
        (work / 'iter_6.pth').write_bytes(path.read_bytes())
        calls = {
            'train.py --init': ('train.py', config, '--work-dir', tmp_path / 'new', '--init', path, *options),
            'train.py --resume': ('train.py', config, '--work-dir', work, '--resume', *options),
            'test.py': ('test.py', config, path, '--out', tmp_path / 'test', *options),
            'export_onnx.py': ('export_onnx.py', config, path, '--out', tmp_path / 'x.onnx', *options),
            'publish_checkpoint.py': ('publish_checkpoint.py', path, '--out', tmp_path / 'published', '--config', config),
        }
        for what, (script, *arguments) in calls.items():
            status, said = tool(script, *arguments)
            tried.append((what, name, status, [line for line in said.splitlines() if line.startswith('error: ')]))
            if trace.exists():
                trace.rmdir()
                ran.append((what, name))
    note('hostile', 'pickles that run code, given to every tool that takes a checkpoint', len(tried), len(tried) - len(ran),
         COMMAND)  # fmt: skip
    assert ran == []
    assert all(status == 2 and len(lines) == 1 for *_, status, lines in tried), tried
    pickle.loads((tmp_path / 'pickle.pth').read_bytes())
    assert trace.exists(), 'the files are harmless, so this proves nothing'


def test_the_sources_never_ask_for_pickles_or_run_text():
    forbidden, unsafe = [], ('allow_pickle=True', 'weights_only=False', 'shell=True')
    for path in [path for folder in ('octfluid', 'tools', 'scripts') for path in (ROOT / folder).rglob('*.py')]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ''
            asked = isinstance(node, ast.keyword) and ast.unparse(node) in unsafe
            if {'pickle', 'marshal', 'shelve', 'dill', 'joblib'} & set(names) or called in ('eval', 'exec') or asked:
                forbidden.append(f'{path.relative_to(ROOT)}:{node.value.lineno if asked else node.lineno}')
    assert forbidden == []


def test_objects_in_arrays_are_no_scans(tool, tmp_path):
    trace, raw = tmp_path / 'trace', tmp_path / 'raw'
    raw.mkdir()
    np.save(tmp_path / 'a.npy', np.array([Bomb(trace)], dtype=object))
    for name in ('a.npy', 'a.mat', 'a.png', 'a.dcm', 'a.nii', 'a.onnx'):  # whatever the suffix
        (tmp_path / name).write_bytes((tmp_path / 'a.npy').read_bytes())
    made = np.zeros((1,), [('field', object)])
    for name, held in (('cell.mat', np.array([np.zeros(3), 1], dtype=object)), ('object.mat', MatlabObject(made, 'handle'))):
        savemat(tmp_path / name, {'images': held, 'manualFluid1': np.zeros((40, 50, 3))})
        (raw / 'Subject_01.mat').write_bytes((tmp_path / name).read_bytes())
        status, said = tool('dataset_converters/duke_dme.py', raw, '--out', tmp_path / 'made', '--allow-missing')
        assert status == 2 and "'images' is a MATLAB" in said and not (tmp_path / 'made').exists()
    files = sorted(tmp_path.glob('*.[nmpdo]*'))
    refused = [tool('predict.py', path, '--out', tmp_path / 'out')[0] == 2 for path in files]
    refused.append(tool('predict.py', tmp_path / 'a.png', '--model', tmp_path / 'a.onnx', '--out', tmp_path / 'out')[0] == 2)
    note('hostile', 'arrays of objects as .npy, .mat and under other names', len(refused), sum(refused), COMMAND)
    assert all(refused) and len(refused) == 9 and not trace.exists()


def outside_weights(location, where):
    """A model whose factor lies in another file: as initializer, as constant, or in a branch."""
    from inference.test_model import INFO, build

    model = build(onnx, INFO.to_metadata())
    tensor = onnx.TensorProto()
    tensor.CopyFrom(model.graph.initializer[0])
    tensor.ClearField('raw_data')
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=location)
    if where == 'initializer':
        model.graph.initializer[0].CopyFrom(tensor)
        return model.SerializeToString()
    del model.graph.initializer[:]
    node = onnx.helper.make_node('Constant', [], ['factor'], value=tensor)
    if where == 'branch':
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), 'yes'))
        output = onnx.helper.make_tensor_value_info('factor', onnx.TensorProto.FLOAT, [1, 1, 1, 1])
        branch = onnx.helper.make_graph([node], 'branch', [], [output])
        node = onnx.helper.make_node('If', ['yes'], ['factor'], then_branch=branch, else_branch=branch)
    model.graph.node.insert(0, node)
    return model.SerializeToString()


def test_a_model_never_reads_other_files(tool, tmp_path, monkeypatch):
    (tmp_path / 'below').mkdir()
    monkeypatch.chdir(tmp_path / 'below')
    for folder in ('.', '..'):
        Path(folder, 'secret.bin').write_bytes(np.float32(1 / 256).tobytes())
    Image.fromarray(SCAN).save('b.png')
    said = []
    for where in ('initializer', 'constant', 'branch'):
        for location in ('secret.bin', '../secret.bin', str(tmp_path / 'secret.bin'), '*/_ORT_MEM_ADDR_/*'):
            Path('m.onnx').write_bytes(outside_weights(location, where))
            said.append(tool('predict.py', 'b.png', '--model', 'm.onnx', '--out', 'out'))
    held = [status == 2 and 'm.onnx: wants weights from other files; refused' in text for status, text in said]
    note('hostile', 'models that want data from other files', len(held), sum(held), COMMAND)
    assert held == [True] * 12


def test_prediction_and_page_never_run_a_config(tmp_path):
    trace = tmp_path / 'trace'
    (tmp_path / 'config.py').write_text(f'import os\nos.mkdir({str(trace)!r})\n')
    Image.fromarray(SCAN).save(tmp_path / 'b.png')
    code = (
        'import sys, octfluid.inference.cli as predict\n'
        'import octfluid.webapp.cli as app\n'
        'from octfluid.utils.cli import exit_status_of\n'
        'config, scan, out = sys.argv[1:]\n'
        'statuses = []\n'
        'for arguments in ([config], [scan, "--model", config], [scan]):\n'
        '    sys.argv = ["predict.py", *arguments, "--out", out]\n'
        '    statuses.append(exit_status_of(predict.main))\n'
        'sys.argv = ["app.py", "--model", config, "--port", "17861"]\n'
        'statuses.append(exit_status_of(app.main))\n'
        'print(statuses, sorted({"torch", "mmengine", "mmcv", "mmseg"} & set(sys.modules)))\n'
    )
    command = [sys.executable, '-c', code, tmp_path / 'config.py', tmp_path / 'b.png', tmp_path / 'out']
    done = subprocess.run(command, capture_output=True, text=True)
    note('hostile', 'Python configs given to prediction and page', 3, 0 if trace.exists() else 3, COMMAND)
    assert done.stdout.splitlines()[-1] == '[2, 2, 0, 2] []', done.stderr
    assert not trace.exists()


def archive(path, *members):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as opened:
        for name, content, kind in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o777) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            opened.writestr(info, content)
    return path


def test_archives_unpack_into_their_folder_or_not_at_all(tmp_path):
    inside, outside = tmp_path / 'inside', tmp_path / 'outside'
    inside.mkdir(), outside.mkdir()
    plain, link = stat.S_IFREG, stat.S_IFLNK
    archives = {
        'above': [('../outside/x', b'x', plain)], 'absolute': [(f'{outside}/x', b'x', plain)],
        'of Windows': [('..\\outside\\x', b'x', plain)], 'hidden': [('a/../../outside/x', b'x', plain)],
        'through a link': [('link', str(outside), link), ('link/x', b'x', plain)],
        'swollen': [('zeros', bytes(200 << 20), plain)],
    }  # fmt: skip
    held = []
    for what, members in archives.items():
        path = archive(inside / 'a.zip', *members)
        command = [sys.executable, ROOT / 'scripts/unpack_zip.py', path, '--into', inside / 'target']
        done = subprocess.run(command, capture_output=True, text=True)
        left = [one.name for one in inside.iterdir()]
        held.append((what, done.returncode, list(outside.iterdir()), left))
    good = [one for one in held if one[1:] == (1, [], ['a.zip'])]
    note('hostile', 'archives that reach out of their folder or swell', len(held), len(good), COMMAND)
    assert good == held


@pytest.fixture
def model(tmp_path):
    """A model that does next to nothing, which saves time."""
    from inference.test_model import INFO, build

    (tmp_path / 'quick').mkdir()
    (tmp_path / 'quick/m.onnx').write_bytes(build(onnx, INFO.to_metadata()).SerializeToString())
    return '--model', tmp_path / 'quick/m.onnx'


@pytest.mark.parametrize('overwrite', [False, True])
def test_results_never_follow_a_link_out_of_their_folder(tool, model, tmp_path, overwrite):
    Image.fromarray(SCAN).save(tmp_path / 'x.png')
    pages = [Image.fromarray(SCAN)] * 2
    pages[0].save(tmp_path / 'v.tif', save_all=True, append_images=pages[1:])
    outside = tmp_path / 'outside'
    held = []
    tables = ('measurements.csv', 'measurements.json', 'manifest.json', 'manifest.partial.json')
    for number, name in enumerate(('x_mask.png', 'x_overlay.png', 'v', *tables)):
        out = tmp_path / f'out{number}'
        out.mkdir()
        outside.mkdir(exist_ok=True)
        (outside / 'mine').write_text('mine')
        (out / name).symlink_to(outside if name == 'v' else outside / 'mine')
        scans, replace = (tmp_path / 'x.png', tmp_path / 'v.tif'), ['--overwrite'] * overwrite
        status, said = tool('predict.py', *scans, *model, '--out', out, *replace)
        intact = (outside / 'mine').read_text() == 'mine' and [path.name for path in outside.iterdir()] == ['mine']
        held.append((name, intact and 'Traceback' not in said and status in (0, 1, 2)))
    note('hostile', f'links out of the folder of the results{", with --overwrite" * overwrite}', len(held),
         sum(good for _, good in held), COMMAND)  # fmt: skip
    assert [name for name, good in held if not good] == []


@pytest.mark.parametrize('outputs', [
    ['../mine'], ['{mine}'], ['link/mine'], [5, None], ['\0'], ['folder'], 'text', [['a']], {'a': 1},
])  # fmt: skip
def test_a_strange_manifest_removes_nothing_of_others(tool, model, tmp_path, outputs):
    mine, out = tmp_path / 'mine', tmp_path / 'out'
    mine.write_text('mine')
    (out / 'folder').mkdir(parents=True)
    (out / 'link').symlink_to(tmp_path)
    outputs = [str(mine) if name == '{mine}' else name for name in outputs] if isinstance(outputs, list) else outputs
    (out / 'manifest.json').write_text(json.dumps(dict(schema='octfluid.prediction/1', inputs=[dict(outputs=outputs)])))
    Image.fromarray(SCAN).save(tmp_path / 'x.png')
    status, said = tool('predict.py', tmp_path / 'x.png', *model, '--out', out, '--overwrite')
    assert (status, said) == (0, said) and 'Traceback' not in said
    assert mine.read_text() == 'mine' and (out / 'folder').is_dir() and (out / 'x_mask.png').is_file()
