from pathlib import Path

import pytest
from checkpoint_files import of_split

from octfluid.datasets.splits import paper_rows
from octfluid.inference.model import ScanModel
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import write_record

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxscript')

ROOT = Path(__file__).resolve().parents[2]
TWIN = 'configs/duke_dme/compact.py'
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
    (folder / 'tiny.py').write_text(CONFIG.format(base=ROOT / TWIN))
    cfg = load_config(folder / 'tiny.py')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    said = of_split('all', dataset='DukeDMEDataset')
    torch.save({'state_dict': MODELS.build(cfg.model).state_dict(), **said}, folder / 'tiny.pth')
    return folder / 'tiny.py', folder / 'tiny.pth'


@pytest.fixture
def tool(tiny, run_tool):
    def call(*arguments, checkpoint=tiny[1]):
        return run_tool('export_onnx', tiny[0], checkpoint, *arguments)

    return call


@pytest.fixture
def records(tmp_path, make_record):
    """Write the records of a number of folds, in each of which half of the fluid is found; returns their folder."""

    def write(folds):
        folder = tmp_path / 'records'
        for subject in range(1, folds + 1):
            scans = sorted(row.scan for row in paper_rows() if row.scan.subject == subject)
            counts = dict(height=20, width=50, tp=50, fp=50, fn=50, tn=850, extra={})
            images = [dict(name=scan.name, subject=subject, **counts) for scan in scans]
            record = make_record(split=f'subject{subject:02d}', config=TWIN, images=images, metrics=pooled_metrics(images),
                                 split_sha256=f'{subject:064x}', iterations=900)  # fmt: skip
            write_record(record, folder / f'{subject}.json')
        return folder

    return write


@pytest.fixture
def any_twin(monkeypatch):
    """Let records of another config than the tiny one speak for it: whose records they are is tested in test_export.py."""
    from octfluid.engine import export as exports

    monkeypatch.setattr(exports, 'require_twins', lambda *_: None)


@pytest.mark.slow
def test_a_model_and_its_card_are_written(tool, tiny, records, tmp_path, any_twin):
    out = tmp_path / 'new' / 'tiny.onnx'
    status, stdout, stderr = tool('--out', out, '--records', records(10), '--half', '--cfg-options', 'model.threshold=0.3')
    assert (status, stderr) == (0, [])
    compared, written = stdout.splitlines()
    assert compared.startswith('2 images of noise') and str(out) in written and str(out.with_suffix('.md')) in written
    assert sorted(path.name for path in out.parent.iterdir()) == ['tiny.md', 'tiny.onnx']
    info = ScanModel(out, threads=1).info
    assert info.threshold == 0.3
    assert [(score['config'], score['protocol'], score['images']) for score in info.scores] == [
        (TWIN, 'leave-one-subject-out', 110)
    ]
    card = out.with_suffix('.md').read_text()
    assert card.startswith('# tiny.onnx\n')
    assert '| trained on | all scans of the data set (split `all`), with `tiny.py`, 7 iterations, seed 3 |' in card
    assert (
        '| `configs/duke_dme/compact.py` | leave-one-subject-out | no | 110 of 10 patients, 20x50 | 1 | 50.00 [50.00, ' in card
    )
    for place in (tmp_path, tiny[0].parent, ROOT):
        assert str(place) not in card


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """Have the exporter, which is slow, write a model that does nothing instead; returns what it was asked for."""
    from octfluid.engine import export as exports
    from octfluid.inference.model import ModelInfo

    asked = {}
    info = ModelInfo('1', ('background', 'fluid'), 0.5, {}, 'ab' * 32, [], 'Ours.')
    value = [onnx.helper.make_tensor_value_info(name, 1, ['n', 1, 'h', 'w']) for name in ('scan', 'probability')]
    graph = onnx.helper.make_graph([onnx.helper.make_node('Identity', ['scan'], ['probability'])], 'g', value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 20)], ir_version=10)
    onnx.helper.set_model_props(model, info.to_metadata())

    def write(cfg, checkpoint, out, **options):
        asked.update(options)
        Path(out).write_bytes(model.SerializeToString())
        return exports.Agreement(12, True, 1e-6, 0.25)

    monkeypatch.setattr(exports, 'export', write)
    return asked


def test_without_records_the_card_claims_no_score(tool, tiny, earlier, tmp_path):
    content = torch.load(tiny[1], weights_only=True)
    torch.save({**content, **of_split('subject03', dataset='DukeDMEDataset')}, tmp_path / 'part.pth')
    status, stdout, _ = tool('--out', tmp_path / 'm.onnx', checkpoint=tmp_path / 'part.pth')
    assert status == 0
    assert stdout.startswith('12 scans compared with the network: probabilities differ by at most 1.0e-06, masks in 25.0000%')
    assert (earlier['half'], list(earlier['scores'])) == (False, [])
    card = (tmp_path / 'm.md').read_text()
    assert '| trained on | the training scans of split `subject03`, with `tiny.py`' in card
    assert 'How good' not in card


@pytest.mark.parametrize(
    ('folds', 'named'), [(0, 'no run record'), (9, 'no complete protocol'), (10, f'{TWIN} has been changed')]
)
def test_records_that_do_not_fit_stop_it_before_it_writes(tool, earlier, records, tmp_path, request, folds, named):
    if folds == 9:
        request.getfixturevalue('any_twin')
    (tmp_path / 'records').mkdir()
    status, _, stderr = tool('--out', tmp_path / 'm.onnx', '--records', records(folds))
    assert (status, len(stderr)) == (2, 1) and named in stderr[0]
    assert not earlier and not (tmp_path / 'm.onnx').exists()


def test_a_text_of_the_user_is_not_taken_for_an_earlier_card(tool, earlier, tmp_path):
    (tmp_path / 'm.md').write_text('my notes')
    status, _, stderr = tool('--out', tmp_path / 'm.onnx')
    assert (status, len(stderr)) == (2, 1) and 'm.md' in stderr[0]
    assert not earlier and (tmp_path / 'm.md').read_text() == 'my notes'
