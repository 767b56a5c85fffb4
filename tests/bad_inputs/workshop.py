"""A folder full of what is wrong, and of what is needed beside it, for `tests/test_bad_inputs.py`."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
from dicom_files import write as write_dicom
from PIL import Image

from octfluid.datasets.phantom_prepare import write_phantom_dataset
from octfluid.datasets.phantoms import make_phantom

ROOT = Path(__file__).resolve().parents[2]
TINY = """
_base_ = '{root}/configs/smoke/phantom.py'
data_root = '{data}'
train_pipeline = [*_base_.train_pipeline[:2], dict(type='RandomCrop', crop_size=(48, 48)), *_base_.train_pipeline[3:]]
few = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, dataset=dict(scan_size=(64, 64), pipeline=train_pipeline), **few)
val_dataloader = dict(dataset=dict(scan_size=(64, 64)), **few)
model = dict(
    backbone=dict(base_channels=4),
    decode_head=dict(in_channels=4, channels=4),
    auxiliary_head=dict(in_channels=8, channels=4),
)
train_cfg = dict(max_iters=2, val_interval=2)
"""


DATA = ('masks255', 'unpaired', 'size', 'overlap', 'unmarked', 'unlisted', 'negative', 'endless', 'folder')


class Runs:
    """What a pickle that runs code looks like: unpickling makes a file."""

    def __reduce__(self):
        return open, ('ran', 'w')


def build(folder):
    """Fill an empty folder."""
    scans(folder)
    volumes(folder)
    data_sets(folder)
    configs(folder)
    results(folder)
    weights(folder)


def scans(folder):
    scan = make_phantom(1, 64, 96, fluid=True)[0]
    Image.fromarray(scan).save(folder / 'scan.png')
    content = (folder / 'scan.png').read_bytes()
    (folder / 'cut.png').write_bytes(content[: len(content) // 2])
    (folder / 'empty.png').touch()
    (folder / 'text.png').write_text('a letter, not a picture')
    Image.new('L', (1, 1)).save(folder / 'pixel.png')
    Image.new('1', (20000, 20000)).save(folder / 'huge.png')
    rows, columns = np.mgrid[:96, :128]
    disc = np.where((rows - 48) ** 2 + (columns - 64) ** 2 < 40**2, 1.0, 0.0)[..., None] * [190, 90, 40]
    Image.fromarray(disc.astype(np.uint8)).save(folder / 'fundus.jpg')
    for name in ('nothing', 'mixed', 'some'):
        (folder / name).mkdir()
    (folder / 'nothing/notes.txt').write_text('nothing to see')
    shutil.copy(folder / 'scan.png', folder / 'mixed/b1.png')
    Image.fromarray(scan[:, :80]).save(folder / 'mixed/b2.png')
    for name in ('scan', 'cut'):
        shutil.copy(folder / f'{name}.png', folder / f'some/{name}.png')
    (folder / 'file').write_text('a file where a folder is expected')
    shutil.copytree(folder / 'some', folder / 'results')
    (folder / 'results/manifest.json').write_text('{"schema": "octfluid.prediction/1"}')
    for name in ('iter_2.pth', 'model.onnx', 'report.html', 'measurements.csv', 'data_pspnet.json', 'guard.json'):
        (folder / 'taken' / name).mkdir(parents=True)
    (folder / 'old').mkdir()
    (folder / 'old/scan_mask.png').write_bytes(content)
    (folder / 'theirs').mkdir()
    (folder / 'theirs/scan_overlay.png').write_bytes(content)
    (folder / 'nowhere').symlink_to('gone')
    Image.fromarray(scan).save(folder / 'lying.tif', tiffinfo={274: 6})


def volumes(folder):
    import nibabel
    from scipy.io import savemat

    nibabel.Nifti1Image(np.full((40, 40, 3), np.nan, np.float32), np.eye(4)).to_filename(folder / 'nan.nii.gz')
    write_dicom(folder / 'knee.dcm', SOPClassUID='1.2.840.10008.5.1.4.1.1.4', Modality='MR')
    savemat(folder / 'other.mat', {'weights': np.zeros(3)})
    for suffix in ('dcm', 'nii', 'vol', 'mat', 'jpg', 'tif', 'e2e', 'fda', 'xml'):
        (folder / f'empty.{suffix}').touch()
    frames = np.stack([make_phantom(seed, 64, 96)[0] for seed in range(3)])
    nibabel.Nifti1Image(frames.transpose(2, 1, 0), np.eye(4)).to_filename(folder / 'cut.nii')
    write_dicom(folder / 'cut.dcm', frames)
    savemat(folder / 'cut.mat', {'images': frames.transpose(1, 2, 0)})
    write_dicom(folder / 'palette.dcm', frames, PhotometricInterpretation='PALETTE COLOR')
    write_dicom(folder / 'more.dcm', frames, NumberOfFrames=2)
    for name in ('cut.nii', 'cut.dcm', 'cut.mat'):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    (folder / 'cut.vol').write_bytes(b'HSF-OCT-103\0' + bytes(500))
    for name in ('text.e2e', 'text.fda', 'scan.docx'):
        (folder / name).write_text('not what its name says')
    (folder / 'other.xml').write_text('<note>hello</note>')
    (folder / 'broken.xml').write_text('<HEDX><BODY>')


def data_sets(folder):
    write_phantom_dataset(folder / 'data/good', subjects=3, slices=4, height=64, width=64)
    masks = 'native/annotations'
    for name in DATA:
        shutil.copytree(folder / 'data/good', folder / 'data' / name)
    names = sorted(path.name for path in (folder / 'data/good' / masks).iterdir())
    mask = np.asarray(Image.open(folder / 'data/good' / masks / names[1]))
    Image.fromarray(mask * 255).save(folder / 'data/masks255' / masks / names[1])
    (folder / 'data/unpaired' / masks / names[2]).unlink()
    Image.fromarray(mask[:32]).save(folder / 'data/size' / masks / names[1])
    train = folder / 'data/overlap/splits/heldout_train.txt'
    train.write_text(train.read_text() + (folder / 'data/overlap/splits/heldout_val.txt').read_text().splitlines()[0] + '\n')
    for path in (folder / 'data/unmarked' / masks).iterdir():
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(path)
    (folder / 'data/unlisted/splits/heldout_val.txt').unlink()
    for name, old, new in (('negative', 's01_z00,,1,', 's01_z00,,-1,'), ('endless', 'name', 200_000 * 'x' + ',name')):
        index = folder / 'data' / name / 'index.csv'
        index.write_text(index.read_text().replace(old, new, 1))
    (folder / 'data/folder' / masks / names[1]).unlink()
    (folder / 'data/folder' / masks / names[1]).mkdir()
    (folder / 'raw').mkdir()
    (folder / 'raw/Subject_01.mat').write_text('not a volume')
    for kind in ('images', 'masks', 'colour', 'turned'):
        (folder / 'own' / kind).mkdir(parents=True)
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    for patient in 'ABC':
        scan, fluid = make_phantom(ord(patient), 64, 96, fluid=True)
        Image.fromarray(scan).save(folder / f'own/images/{patient}_1.png')
        Image.fromarray(np.stack([scan, scan // 2, scan // 3], axis=2)).save(folder / f'own/colour/{patient}_1.png')
        Image.fromarray(scan).save(folder / f'own/turned/{patient}_1.png', exif=upside_down)
        Image.fromarray(fluid * (2 if patient == 'B' else 1)).save(folder / f'own/masks/{patient}_1.png')
    (folder / 'own/fewer').mkdir()
    for patient in 'AC':
        shutil.copy(folder / f'own/masks/{patient}_1.png', folder / 'own/fewer')


def configs(folder):
    for name in ('good', *DATA, 'absent'):
        (folder / f'{name}.py').write_text(TINY.format(root=ROOT, data=f'data/{name}'))
    for name, line in {
        'leaves': 'import sys; sys.exit(0)',
        'group': 'model = 5',
        'without': "optim_wrapper = dict(_delete_=True, type='OptimWrapper')",
        'nan': "optim_wrapper = dict(optimizer=dict(lr=float('nan')))",
        'windows': "model = dict(test_cfg=dict(mode='slide', crop_size=(1, 1), stride=(1, 1)))",
    }.items():
        (folder / f'{name}.py').write_text(f"_base_ = 'good.py'\n{line}\n")
    (folder / 'syntax.py').write_text('model = dict(\n')
    (folder / 'misspelt.py').write_text("_base_ = 'good.py'\ntrain_cfg = dict(max_itres=5)\n")
    (folder / 'classes.py').write_text("_base_ = 'good.py'\nmodel = dict(decode_head=dict(num_classes=3))\n")


def results(folder):
    record = json.loads((ROOT / 'docs/results/records/recipes/compact').glob('*.json').__next__().read_text())
    (folder / 'records').mkdir()
    for name, change in (
        ('counts', lambda one: one['images'][0].update(tp=one['images'][0]['tp'] + 1)),
        ('schema', lambda one: one.update(schema='octfluid.run/9')),
        ('seed', lambda one: one.update(seed='zero')),
    ):
        changed = json.loads(json.dumps(record))
        change(changed)
        (folder / f'records/{name}.json').write_text(json.dumps(changed))
    (folder / 'records/cut.json').write_text(json.dumps(record)[:500])
    (folder / 'records/nested.json').write_text('[' * 100000)
    check = dict(schema='octfluid.prediction-check/1', kind='guard', found=[dict(scans='phantoms', number=40)])
    (folder / 'checked/prediction').mkdir(parents=True)
    (folder / 'checked/prediction/guard.json').write_text(json.dumps(check))


def weights(folder):
    import torch

    (folder / 'runs_code.pth').write_bytes(pickle.dumps({'state_dict': Runs()}))
    (folder / 'text.pth').write_text('not weights')
    torch.save({'state_dict': {'other.weight': torch.zeros(3)}}, folder / 'other.pth')
    torch.save({'state_dict': {'other.weight': torch.full((3,), float('nan'))}}, folder / 'nan.pth')
    torch.save({'epoch': 3}, folder / 'no_weights.pth')
    torch.save({'state_dict': {'other.weight': torch.eye(3).to_sparse()}}, folder / 'sparse.pth')
    torch.save({'state_dict': {}, 'run': {'init': None, 'wall_seconds': 'long'}, 'meta': {'iter': 4}}, folder / 'changed.pth')
    shutil.copy(folder / 'other.pth', folder / 'said.pth')
    (folder / 'said.json').write_text(json.dumps({'split': 'all', 'iterations': 'many'}))
    (folder / 'text.onnx').write_text('not a model')
    shutil.copy(next((ROOT / 'checkpoints/duke_dme').glob('*.pth')), folder / 'compact.pth')
    foreign(folder / 'foreign.onnx')


def foreign(path):
    """A model, but none of ours."""
    import onnx

    value = onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node('Abs', ['x'], ['y'])], 'g', [value], [out])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
