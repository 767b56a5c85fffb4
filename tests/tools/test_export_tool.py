import runpy
from pathlib import Path

import pytest
from checkpoint_files import of_split

from octfluid.datasets.splits import paper_rows
from octfluid.inference.model import ScanModel
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import write_record
from octfluid.reporting.model_card import describe_training

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxscript')

ROOT = Path(__file__).resolve().parents[2]
COMPACT = 'configs/duke_dme/compact.py'
CONFIG = """
_base_ = '{base}'
absent = 'there/is/no/such/data'
train_pipeline = [*_base_.train_pipeline[:2], dict(type='Resize', scale=(32, 24), backend='pillow'), *_base_.train_pipeline[3:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, scan_size=(64, 80), data_root=absent))
val_dataloader = dict(dataset=dict(scan_size=(64, 80), data_root=absent))
model = dict(
    working_size=(24, 32),
    backbone=dict(channels=(4, 8)),
    decode_head=dict(in_channels=4, channels=4),
    auxiliary_head=None,
)
"""


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """A config of a minute network whose data are not here, and random weights of split `all`: two files."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    from octfluid.engine.config import load_config

    folder = tmp_path_factory.mktemp('tiny')
    (folder / 'tiny.py').write_text(CONFIG.format(base=ROOT / COMPACT))
    cfg = load_config(folder / 'tiny.py')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    said = of_split('all', dataset='DukeDMEDataset')
    torch.save({'state_dict': MODELS.build(cfg.model).state_dict(), **said}, folder / 'tiny.pth')
    return folder / 'tiny.py', folder / 'tiny.pth'


@pytest.fixture
def tool(tiny, run_tool):
    return lambda *arguments: run_tool('export_onnx', *tiny, *arguments)


@pytest.fixture
def records(tmp_path, make_record):
    """The records of ten folds, in each of which half of the fluid is found."""
    for subject in range(1, 11):
        scans = sorted(row.scan for row in paper_rows() if row.scan.subject == subject)
        counts = dict(height=20, width=50, tp=50, fp=50, fn=50, tn=850, extra={})
        images = [dict(name=scan.name, subject=subject, **counts) for scan in scans]
        record = make_record(split=f'subject{subject:02d}', config=COMPACT, images=images, metrics=pooled_metrics(images),
                             split_sha256=f'{subject:064x}', iterations=900)  # fmt: skip
        write_record(record, tmp_path / f'records/{subject}.json')
    return tmp_path / 'records'


@pytest.mark.slow
def test_a_model_and_its_card_are_written(tool, tiny, records, tmp_path, monkeypatch):
    from octfluid.engine import export as exports

    monkeypatch.setattr(exports, 'require_same_training', lambda *_: None)  # whose records they are is tested in test_export.py
    out = tmp_path / 'new' / 'tiny.onnx'
    status, stdout, stderr = tool('--out', out, '--records', records, '--half', '--cfg-options', 'model.threshold=0.3')
    assert (status, stderr) == (0, [])
    compared, written = stdout.splitlines()
    assert compared.startswith('2 images of noise') and str(out) in written and str(out.with_suffix('.md')) in written
    assert sorted(path.name for path in out.parent.iterdir()) == ['tiny.md', 'tiny.onnx']
    info = ScanModel(out, threads=1).info
    assert info.threshold == 0.3
    assert [(score['config'], score['protocol'], score['images']) for score in info.scores] == [
        (COMPACT, 'leave-one-subject-out', 110)
    ]
    card = out.with_suffix('.md').read_text()
    assert card.startswith('# tiny.onnx\n')
    assert '| trained on | all scans of the data set (split `all`), with `tiny.py`, 7 iterations, seed 3 |' in card
    assert (
        '| `configs/duke_dme/compact.py` | leave-one-subject-out | no | 110 of 10 patients, 20x50 | 1 | 50.00 [50.00, ' in card
    )
    for place in (tmp_path, tiny[0].parent, ROOT):
        assert str(place) not in card


@pytest.mark.parametrize(('split', 'said'), [
    ('heldout', 'patients 1, 2 of the 3 in index.csv'), ('all', 'patients 1, 2, 3 of the 3 in index.csv'), (None, ''),
])  # fmt: skip
def test_a_card_says_which_patients_the_training_has_seen(phantoms, split, said):
    from octfluid.engine.config import load_config

    cfg = load_config(ROOT / 'configs/smoke/phantom.py', {'data_root': str(phantoms)})
    assert runpy.run_path(str(ROOT / 'tools/export_onnx.py'))['trained_patients'](cfg, split) == said
    if said:
        assert describe_training(split, 'c.py', 9, 0, said).partition(', ')[2] == f'{said}, with `c.py`, 9 iterations, seed 0'


def test_a_text_of_the_user_is_not_taken_for_an_earlier_card(tool, tmp_path):
    (tmp_path / 'm.md').write_text('my notes')
    status, _, stderr = tool('--out', tmp_path / 'm.onnx')
    assert (status, len(stderr)) == (2, 1) and 'm.md' in stderr[0]
    assert [path.name for path in tmp_path.iterdir()] == ['m.md'] and (tmp_path / 'm.md').read_text() == 'my notes'
