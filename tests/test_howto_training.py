"""Every command of the how-to pages on training, scoring and export is run, on phantoms and with minute networks."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request

import pytest
from test_howto import ROOT, commands, here, run, run_all  # noqa: F401  `here` is a fixture

from octfluid.datasets.prepare.phantom import write_phantom_dataset

torch = pytest.importorskip('torch')
pytestmark = pytest.mark.slow

TINY = """
_base_ = '../smoke/phantom.py'
data_root = 'data/duke_dme'
split = 'paper'
train_pipeline = [*_base_.train_pipeline[:2], dict(type='RandomCrop', crop_size=(48, 48)), *_base_.train_pipeline[3:]]
few = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, dataset=dict(scan_size=(496, 768), pipeline=train_pipeline), **few)
val_dataloader = dict(dataset=dict(scan_size=(496, 768)), **few)
model = dict(
    backbone=dict(base_channels=4),
    decode_head=dict(in_channels=4, channels=4),
    auxiliary_head=dict(in_channels=8, channels=4),
)
train_cfg = dict(max_iters=2, val_interval=2)
"""
SPLITS = {
    'paper': (1, 6),
    'train6-10_test1-5': (1,),
    'train1-5_test6-10': (6,),
    **{f'subject{number:02d}': (number,) for number in range(1, 7)},
    **{f'subject01-inner{fold}': (fold + 1,) for fold in (1, 2, 3)},
}
"""Split -> subjects to validate on."""


@pytest.fixture
def bench(here):  # noqa: F811
    """Phantoms under the name and with the splits of the Duke data, and weights under the names that the pages use."""
    data = here / 'data/duke_dme'
    write_phantom_dataset(data, subjects=6, slices=1, height=496, width=768)
    names = {int(path.stem[1:3]): path.stem for path in (data / 'native/images').glob('*.png')}
    for split, validated in SPLITS.items():
        kept = [number for number in names if number not in validated and not (split.startswith('subject01') and number == 1)]
        for subset, numbers in (('train', kept), ('val', validated)):
            (data / f'splits/{split}_{subset}.txt').write_text(''.join(f'{names[number]}\n' for number in numbers))
    (data / 'splits/all_train.txt').write_text(''.join(f'{name}\n' for name in names.values()))
    for config in ('table2/06_crop320.py', 'table2/10_crop320_wd1e-4.py', 'table1/pspnet.py'):
        (here / 'configs' / config).write_text(TINY)
    return here


def put_weights(bench, config, *paths):
    """Write random weights of a config's network under some names."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    from octfluid.engine.config import load_config

    cfg = load_config(bench / 'configs' / config)
    init_default_scope('mmseg')
    for path in paths:
        weights = MODELS.build(cfg.model).state_dict()
        (bench / path).parent.mkdir(parents=True, exist_ok=True)
        torch.save({'state_dict': weights}, bench / path)


def fewer(command):
    """Leave out what only repeats: seeds and processes."""
    if 'dist_train.sh' in command[1]:
        return [*command[:3], '2', *command[4:]]
    if 'sweep.py' in command[1]:
        first = command.index('--seeds') + 1
        last = next(place for place in range(first, len(command)) if not command[place].isdecimal())
        return [*command[: first + 1], *command[last:], '--jobs', '2', '--init', 'none']
    return command


def test_train(bench):
    put_weights(bench, 'table1/pspnet.py', 'checkpoints/hrf/pspnet_unet_s5-d16_256x256_1i_hrf-01234567.pth')
    assert run_all('docs/how-to/train.md', bench, fewer) == ['train.py', 'dist_train.sh', 'train.py', 'train.py', 'train.py']
    assert (bench / 'work_dirs/mine/iter_2.pth').is_file()


def test_evaluate(bench):
    put_weights(bench, 'table1/pspnet.py', 'checkpoints/hrf/pspnet_unet_s5-d16_256x256_1i_hrf-01234567.pth',
                'work_dirs/10_crop320_wd1e-4/iter_400.pth')  # fmt: skip
    put_weights(bench, 'duke_dme/compact.py', 'work_dirs/a/iter_900.pth', 'work_dirs/b/iter_900.pth')
    for kind in ('images', 'annotations'):
        shutil.copytree(bench / 'data/duke_dme/native' / kind, bench / 'scans' / kind.replace('annotations', 'masks'))
    assert run_all('docs/how-to/evaluate.md', bench, fewer) == [
        'sweep.py', 'train.py', 'sweep.py', 'folder.py', 'test.py', 'test.py', 'test.py', 'report.py',
    ]  # fmt: skip
    assert len(list((bench / 'work_dirs/sweep').rglob('iter_2.pth'))) == 2 * 3 + 3 + 6
    assert (bench / 'work_dirs/report/report.html').is_file()


def test_export(bench):
    put_weights(bench, 'duke_dme/compact.py', 'work_dirs/compact/iter_900.pth')
    assert run_all('docs/how-to/export.md', bench) == ['export_onnx.py']
    assert (bench / 'compact.onnx').is_file()


@pytest.mark.skipif(shutil.which('sbatch') is not None, reason='would submit jobs')
def test_cluster(bench):
    (command,) = commands('docs/how-to/cluster.md', r'^python ')
    pytest.importorskip('submitit')
    assert 'Slurm' in run(command, bench, status=2)


def test_page(bench):
    pytest.importorskip('gradio')
    (bench / 'users.txt').write_text('jane:secret\n')
    found = commands('docs/how-to/page.md', r'^python ')
    assert [command[1] for command in found] == ['tools/app.py'] * 2
    for command in found:
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, *command[1:], '--port', str(port)]
        environment = {**os.environ, 'PYTHONPATH': str(bench)}
        with subprocess.Popen(command, cwd=bench, env=environment, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout.readline().startswith('serving http://')
                page = urllib.request.urlopen(f'http://127.0.0.1:{port}/', timeout=20).read().decode()
            finally:
                server.terminate()
        assert 'gradio' in page and server.returncode == 143


def test_no_page_is_left_out():
    pages = {path.name for path in (ROOT / 'docs/how-to').glob('*.md')}
    assert pages == {'README.md', 'predict.md', 'page.md', 'own_data.md', 'train.md', 'evaluate.md', 'cluster.md', 'export.md'}
