import copy
import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from octfluid.metrics.confusion import image_row, pooled_metrics
from octfluid.records.record import (
    git_state,
    published_path,
    read_record,
    read_records,
    record_filename,
    result_changing_overrides,
    source_sha256,
    split_sha256,
    to_run,
    validate_record,
    write_record,
)
from octfluid.utils.errors import InputError

NAN = float('nan')


def test_importing_the_module_loads_neither_torch_nor_mmengine():
    code = 'import sys, octfluid.records.record; print([m for m in ("torch", "mmengine", "mmseg") if m in sys.modules])'
    assert subprocess.check_output([sys.executable, '-c', code], text=True).strip() == '[]'


def test_a_record_survives_writing_and_reading(make_record, hrf_weights, tmp_path):
    record = make_record(init=hrf_weights, wall_seconds=1 / 3, git={'commit': 'f' * 40, 'dirty': False})
    write_record(record, tmp_path / 'r.json')
    assert read_record(tmp_path / 'r.json') == record
    lines = (tmp_path / 'r.json').read_text().splitlines()
    # Braces, one line a field, and for each of the two lists its elements and the closing bracket.
    assert len(lines) == 2 + len(record) + (len(record['images']) + 1) + (len(record['history']) + 1)
    with pytest.raises(InputError):
        write_record(make_record(seed=-1), tmp_path / 'bad.json')
    assert [path.name for path in tmp_path.iterdir()] == ['r.json']


def changed(record, path, value):
    """Return a copy of a record with another value at a path, or without the field where it is `...`."""
    record = inner = copy.deepcopy(record)
    *parents, last = path
    for key in parents:
        inner = inner[key]
    inner[last] = value
    if value is ...:
        del inner[last]
    return record


@pytest.mark.parametrize(('path', 'value'), [
    (['kind'], 'val'), (['config'], '/somewhere/configs/x.py'), (['config'], '../x.py'), (['config'], 'one\n# two'),
    (['config_sha256'], 'abc'), (['seed'], True), (['seed'], 10**400), (['precision'], 'fp8'), (['split'], 'a/b'),
    (['device'], 'one\x1b[31m'), (['device'], '\ud800'), (['overrides'], {'a': [1, NAN]}), (['wall_seconds'], NAN),
    (['overrides'], {'a': functools.reduce(lambda inner, _: [inner], range(900), [])}), (['history', 0, 'loss'], NAN),
    (['images'], []), (['git'], {'commit': 'f' * 40}), (['init', 'source'], 'zoo'), (['init', 'name'], 'checkpoints/b.pth'),
    (['images', 0, 'tp'], -1), (['images', 0, 'extra', 'ignored'], 0), (['images', 0, 'extra', 'surface_dice_1px'], 1.1),
    (['images', 0, 'extra', 'hd95_px'], NAN), (['images', 0, 'extra', 'hd95'], 1.0),
    (['images', 0, 'extra', 'pockets'], {'true': 1}), (['images', 0, 'extra', 'logit_histogram'], {'fluid': [50]}),
    (['metrics', 'mIoU'], 1.5), (['metrics', 'mDice'], 0.9), (['metrics', 'IoU.fluid'], None), (['schema'], ...),
])  # fmt: skip
def test_a_wrong_field_is_named_in_one_line(make_record, hrf_weights, path, value):
    record = make_record(init=hrf_weights)
    validate_record(record, 'x.json')
    with pytest.raises(InputError) as raised:
        validate_record(changed(record, path, value), 'x.json')
    name = ''.join(f'[{part}]' if isinstance(part, int) else f'.{part}' for part in path).lstrip('.')
    assert str(raised.value).startswith(f'x.json: field {name}')
    assert '\n' not in str(raised.value) and len(str(raised.value)) < 300


@pytest.mark.parametrize(('path', 'value', 'said'), [
    (['images', 1, 'name'], 's01_z0', 'images[1].name'), (['images', 0, 'tn'], 65477, '65537; expected height x width = 65536'),
    (['images', 0, 'extra', 'ignored'], 3, '65539'), (['init', 'loaded'], 173, 'loaded is 173'),
    (['metrics', 'mAP'], 0.5, 'mAP'), (['metrics', 'IoU.layer'], 0.5, 'layer'), (['metrics', 'IoU.fluid'], ..., 'metrics'),
])  # fmt: skip
def test_fields_that_contradict_each_other(make_record, hrf_weights, path, value, said):
    with pytest.raises(InputError) as raised:
        validate_record(changed(make_record(init=hrf_weights), path, value), 'x.json')
    assert str(raised.value).startswith('x.json: ') and said in str(raised.value)


def test_extra_may_be_empty_or_full(make_record, hrf_weights):
    record = make_record(counts=[(1, 1, 1, 1), (0, 5, 0, 65531)], init=hrf_weights | {'name': 'https://example.org/a/b.pth'})
    pockets, histogram = dict(true=2, found=1, predicted=2, right=2), dict(fluid=[0] * 31 + [2], background=[2] + [0] * 31)
    record['images'][0]['extra'] = dict(surface_dice_1px=0.5, surface_dice_2px=1, hd95_px=0.5, pockets=pockets, ignored=65532,
                                        logit_histogram=histogram)  # fmt: skip
    record['images'][1]['extra'] = {}
    assert validate_record(record, 'x') is None


def three_classes(make_record):
    rng = np.random.default_rng(0)
    names = ('background', 'IRF', 'SRF')
    images = [image_row(name, 1, *rng.integers(0, 3, (2, 4, 5)), classes=names) for name in 'ab']
    return make_record(images=images, metrics=pooled_metrics(images, names))


def test_a_record_of_three_classes(make_record, tmp_path):
    record = three_classes(make_record)
    write_record(record, tmp_path / 'r.json')
    run = to_run(tmp_path / 'r.json', read_record(tmp_path / 'r.json'))
    assert run.foreground == 'IRF+SRF'
    assert run.scores['mDice'] == record['metrics']['mDice']
    assert run.scores['Dice'] == pooled_metrics(record['images'])['Dice.fluid']


@pytest.mark.parametrize(('path', 'value'), [
    (['images', 0, 'classes', 'IRF', 'tp'], 99), (['images', 0, 'classes'], {}), (['images', 0, 'classes', 'SRF'], ...),
    (['images', 0, 'tp'], 0), (['metrics', 'Dice.SRF'], 0.999), (['metrics', 'mIoU'], 0.999),
])  # fmt: skip
def test_counts_of_classes_that_do_not_add_up(make_record, path, value):
    with pytest.raises(InputError, match=r'^x: field (images\[0\]|metrics)'):
        validate_record(changed(three_classes(make_record), path, value), 'x')


def test_file_names(make_record, hrf_weights):
    assert record_filename(make_record()) == 'train_paper_scratch_400i_seed0.json'
    record = make_record(kind='test', init=hrf_weights, iterations=5, seed=3, variant='tta', split='subject01')
    assert record_filename(record) == 'test_subject01_hrf-own_5i_seed3_tta.json'
    short = hrf_weights | {'name': 'pspnet_unet_s5-d16_hrf_1000i_1a2b3c4d.safetensors'}
    assert record_filename(make_record(init=short)) == 'train_paper_hrf-own-1000i_400i_seed0.json'
    zoo = hrf_weights | {'source': 'hrf-zoo'}
    assert record_filename(make_record(init=zoo)) == 'train_paper_hrf-zoo_400i_seed0.json'
    assert published_path(make_record()) == 'table2/10_crop320_wd1e-4/train_paper_scratch_400i_seed0.json'
    assert published_path(make_record(config='configs/smoke/a.py')).startswith('recipes/a/')


def test_read_records_finds_records_only_and_each_once(make_record, tmp_path):
    for name in ('b.json', 'a/c.json', '.tmp-x.json', '.superseded/old.json'):
        write_record(make_record(), tmp_path / name)
    for index, schema in enumerate((None, 3, 'octfluid.benchmark/1', 'octfluid.runs/1')):
        (tmp_path / f'other{index}.json').write_text(json.dumps({'schema': schema}))
    (tmp_path / 'list.json').write_text('[1]')
    log = tmp_path / '20260101' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 1}\n{"loss": 2}\n')
    found = [path.relative_to(tmp_path).as_posix() for path, _ in read_records([tmp_path / 'b.json', tmp_path])]
    assert found == ['a/c.json', 'b.json']


@pytest.mark.parametrize('content', [
    b'{"schema": "octfluid.run/1",\n "kind": ', b'\xff\xfe', b'[' * 100000, b'9' * 5000, b'{"schema": "octfluid.run/2"}',
])  # fmt: skip
def test_a_file_that_may_have_been_a_record_is_refused_and_not_skipped(tmp_path, content):
    (tmp_path / 'r.json').write_bytes(content)
    for given in (tmp_path, tmp_path / 'r.json'):
        with pytest.raises(InputError, match=r'^[^\n]*r\.json: [^\n]*$'):
            read_records([given])


def test_overrides_that_change_no_result_are_told_from_those_that_do(make_record):
    overrides = {
        'work_dir': 'x', 'default_hooks.logger.interval': 1, 'train_dataloader.num_workers': 0, 'train_cfg.val_interval': 10,
        'train_cfg': {'max_iters': 5}, 'optim_wrapper.optimizer.lr': 0.1, 'train_dataloader.batch_size': 4,
        'val_dataloader': {'num_workers': 0, 'persistent_workers': False},
    }  # fmt: skip
    expected = ['optim_wrapper.optimizer.lr', 'train_cfg.max_iters', 'train_dataloader.batch_size']
    assert result_changing_overrides(overrides) == expected
    run = to_run('x', make_record(overrides=overrides))
    assert run.changed == tuple(expected)
    # How often the log is written is neither a result nor worth telling.
    assert run.speed == ('train_cfg.val_interval=10', 'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
                         'val_dataloader.persistent_workers=false')  # fmt: skip


def git(root, *arguments):
    identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
    subprocess.run(['git', '-C', root, *identity, *arguments], check=True, capture_output=True)


def test_git_state(tmp_path):
    root = tmp_path / 'repository'
    (root / 'inside').mkdir(parents=True)
    assert git_state(root) is None
    git(root, 'init')
    assert git_state(root) is None  # no commit yet
    (root / 'a').write_text('1')
    git(root, 'add', '.')
    git(root, 'commit', '-m', 'first')
    assert len((state := git_state(root))['commit']) == 40 and state['dirty'] is False
    os.utime(root / 'a', (1, 1))  # git status would note this in its index, for which it takes a lock
    index = (root / '.git/index').read_bytes()
    assert git_state(root) == state and (root / '.git/index').read_bytes() == index
    assert git_state(root / 'inside') is None  # the repository around it is not this project's
    (root / 'a').write_text('2')
    assert git_state(root) == {'commit': state['commit'], 'dirty': True}


def test_source_sha256_depends_on_names_and_bytes_of_the_sources_only(tmp_path):
    def tree(name, files):
        for path, content in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return source_sha256(tmp_path / name)

    files = {'octfluid/a.py': 'x', 'tools/b.py': 'y'}
    base = tree('base', files)
    ignored = {'octfluid/__pycache__/a.py': 'z', 'octfluid/a.csv': 'z', 'tests/t.py': 'z'}
    assert tree('ignored', files | ignored) == base
    assert len({base, tree('bytes', files | {'tools/b.py': 'z'}), tree('name', {'octfluid/c.py': 'x', 'tools/b.py': 'y'}),
                tree('moved', {'octfluid/a.py': 'xy', 'tools/b.py': ''})}) == 4  # fmt: skip


def test_split_sha256_is_of_names_images_and_masks_in_any_order(tmp_path):
    a, b, c, d = (tmp_path / name for name in 'abcd')
    for path in (a, b, c, d):
        path.write_text(path.name)
    x_y = {'x': (a, b), 'y': (c, d)}
    others = {'x': (b, a), 'y': (c, d)}, {'z': (a, b), 'y': (c, d)}, {'x': (a, b), 'y': (c, c)}
    assert split_sha256(dict(reversed(x_y.items()))) == split_sha256(x_y) and len(set(map(split_sha256, (x_y, *others)))) == 4
