import copy
import functools
import hashlib
import json
import os
import subprocess
import sys

import pytest

from octfluid.records.record import (
    file_sha256,
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


def test_the_file_has_one_line_a_field_and_one_line_an_image(make_record, tmp_path):
    record = make_record()
    write_record(record, tmp_path / 'r.json')
    lines = (tmp_path / 'r.json').read_text().splitlines()
    # Braces, one line a field, and for each of the two lists its elements and the closing bracket.
    assert len(lines) == 2 + len(record) + (len(record['images']) + 1) + (len(record['history']) + 1)
    for item in record['images'] + record['history']:
        assert f'  {json.dumps(item)}' in [line.rstrip(',') for line in lines]


def set_in(record, path, value):
    *parents, last = path
    for key in parents:
        record = record[key]
    record[last] = value


@pytest.mark.parametrize(('path', 'value', 'message'), [
    (['kind'], 'val', "field kind is 'val'; expected one of train, test"),
    (['config'], '/somewhere/configs/x.py', 'field config is .* expected a path relative'),
    (['config_sha256'], 'abc', "field config_sha256 is 'abc'; expected the 64 hex digits"),
    (['seed'], True, 'field seed is True; expected a non-negative integer'),
    (['iterations'], 400.0, 'field iterations is 400.0; expected a non-negative integer'),
    (['precision'], 'fp8', 'expected one of fp32, bf16, fp16'),
    (['split'], 'a/b', "field split is 'a/b'"),
    (['git'], {'commit': 'f' * 40}, 'field git.dirty is missing; expected true or false'),
    (['init'], {'source': 'zoo'}, "field init.source is 'zoo'; expected one of hrf-own, hrf-zoo, other"),
    (['wall_seconds'], NAN, 'field wall_seconds is nan'),
    (['overrides'], {'a': [1, NAN]}, r'field overrides.a\[1\] is nan; expected a finite number'),
    (['versions'], {'torch': 2}, 'field versions.torch is 2'),
    (['history', 0, 'loss'], NAN, r'field history\[0\].loss is nan; expected a finite number'),
    (['images'], [], 'expected at least one image'),
    (['images', 0, 'tp'], -1, r'field images\[0\].tp is -1; expected a non-negative integer'),
    (['images', 1, 'name'], 's01_z0', r"field images\[1\].name is 's01_z0'; expected a name that no other image has"),
    (['images', 0, 'tn'], 65477, r'images\[0\] \(s01_z0\) tp\+fp\+fn\+tn is 65537; expected height x width = 65536'),
    (['images', 1, 'tn'], 65530, r'images\[1\] \(s01_z1\) tp\+fp\+fn\+tn is 65535; expected height x width = 65536'),
    (['images', 0, 'extra'], {'ignored': 3}, r'\(s01_z0\) tp\+fp\+fn\+tn\+ignored is 65539; expected height x width = 65536'),
    (['images', 0, 'extra'], {'ignored': 0}, r'field images\[0\].extra.ignored is 0; expected a positive integer'),
    (['images', 0, 'extra'], [], r'field images\[0\].extra is \[\]; expected an object'),
    (['images', 0, 'extra'], {'surface_dice_1px': 1.1}, r'extra.surface_dice_1px is 1.1; expected a fraction in \[0, 1\]'),
    (['images', 0, 'extra'], {'surface_dice_2px': '1'}, r"extra.surface_dice_2px is '1'; expected a fraction"),
    (['images', 0, 'extra'], {'hd95_px': -1.0}, r'extra.hd95_px is -1.0; expected a number >= 0 or null'),
    (['images', 0, 'extra'], {'hd95': 1.0}, r'extra.hd95 is 1.0; expected no key but .*, hd95_px, pockets, ignored'),
    (['images', 0, 'extra'], {'pockets': {'true': 1}}, r'images\[0\].extra.pockets.found is missing; expected a non-negative'),
    (['images', 0, 'extra'], {'pockets': dict(true=1, found=2, predicted=1, right=1)},
     r'extra.pockets.found is 2; expected at most images\[0\].extra.pockets.true = 1'),
    (['images', 0, 'extra'], {'pockets': dict(true=1, found=1, predicted=1, right=2)},
     r'extra.pockets.right is 2; expected at most images\[0\].extra.pockets.predicted = 1'),
    (['images', 0, 'extra'], {'hd95_px': NAN}, r'field images\[0\].extra.hd95_px is nan'),
    (['metrics', 'mIoU'], 1.5, r'field metrics.mIoU is 1.5; expected a fraction in \[0, 1\] or null'),
    (['metrics', 'mDice'], 0.9, 'field metrics.mDice is 0.9; expected 0.815723, which follows from the counts'),
    (['metrics', 'IoU.fluid'], None, 'field metrics.IoU.fluid is None; expected 0.46.*, which follows'),
    (['metrics', 'mAP'], 0.5, 'field metrics.mAP is 0.5; expected no metric but'),
    (['metrics', 'IoU.layer'], 0.5, 'exactly one other class'),
])  # fmt: skip
def test_a_wrong_field_is_named_with_what_was_expected(make_record, path, value, message):
    record = copy.deepcopy(make_record())
    set_in(record, path, value)
    with pytest.raises(InputError, match=f'^x.json: .*{message}'):
        validate_record(record, 'x.json')


def test_every_field_is_required(make_record):
    for key in make_record():
        record = make_record()
        del record[key]
        with pytest.raises(InputError, match=f'field {key} is missing'):
            validate_record(record, 'x.json')


def test_initial_weights_name_no_local_path_and_load_no_more_than_there_is(make_record, hrf_weights):
    validate_record(make_record(init=hrf_weights | {'name': 'https://example.org/a/b.pth'}), 'x')
    with pytest.raises(InputError, match=r'field init.name is .* expected a file name without folders, or a URL'):
        validate_record(make_record(init=hrf_weights | {'name': 'checkpoints/b.pth'}), 'x')
    with pytest.raises(InputError, match=r'field init.loaded is 173; expected at most init.total = 172'):
        validate_record(make_record(init=hrf_weights | {'loaded': 173}), 'x')


def test_extra_may_be_empty_and_ignored_pixels_make_up_the_rest_of_an_image(make_record):
    record = make_record(counts=[(1, 1, 1, 1), (0, 5, 0, 65531)])
    pockets = dict(true=2, found=1, predicted=2, right=2)
    record['images'][0]['extra'] = dict(surface_dice_1px=0.5, surface_dice_2px=1, hd95_px=0.5, pockets=pockets, ignored=65532)
    record['images'][1]['extra'] = {}
    validate_record(record, 'x')
    record['images'][0]['extra']['ignored'] -= 1
    with pytest.raises(InputError, match=r'is 65535; expected height x width = 65536$'):
        validate_record(record, 'x')


def test_committed_records_are_valid(pytestconfig):
    assert read_records([pytestconfig.rootpath / 'docs/results/records'])


def test_scores_may_differ_from_the_counts_by_a_millionth(make_record):
    record = make_record()
    record['metrics']['aAcc'] += 5e-7
    validate_record(record, 'x')
    record['metrics']['aAcc'] -= 2e-6
    with pytest.raises(InputError, match=r'metrics\.aAcc'):
        validate_record(record, 'x')


def test_a_bad_record_is_not_written(make_record, tmp_path):
    with pytest.raises(InputError):
        write_record(make_record(seed=-1), tmp_path / 'r.json')
    assert list(tmp_path.iterdir()) == []


def test_file_names(make_record, hrf_weights):
    assert record_filename(make_record()) == 'train_paper_scratch_400i_seed0.json'
    record = make_record(kind='test', init=hrf_weights, iterations=5, seed=3, variant='tta', split='subject01')
    assert record_filename(record) == 'test_subject01_hrf-own_5i_seed3_tta.json'
    short = hrf_weights | {'name': 'pspnet_unet_s5-d16_hrf_1000i_1a2b3c4d.safetensors'}
    assert record_filename(make_record(init=short)) == 'train_paper_hrf-own-1000i_400i_seed0.json'
    full = hrf_weights | {'name': 'pspnet_unet_s5-d16_hrf_40000i_1a2b3c4d.safetensors'}
    assert record_filename(make_record(init=full)) == 'train_paper_hrf-own_400i_seed0.json'
    assert published_path(make_record()) == 'table2/10_crop320_wd1e-4/train_paper_scratch_400i_seed0.json'
    assert published_path(make_record(config='configs/smoke/a.py')).startswith('recipes/a/')


def test_read_records_finds_records_only_and_each_once(make_record, tmp_path):
    for name in ('b.json', 'a/c.json', '.tmp-x.json', '.superseded/old.json'):
        write_record(make_record(), tmp_path / name)
    (tmp_path / 'other.json').write_text('{"schema": "octfluid.benchmark/1"}')
    (tmp_path / 'list.json').write_text('[1]')
    log = tmp_path / '20260101' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 1}\n{"loss": 2}\n')
    found = [path.relative_to(tmp_path).as_posix() for path, _ in read_records([tmp_path / 'b.json', tmp_path])]
    assert found == ['a/c.json', 'b.json']


@pytest.mark.parametrize(('content', 'message'), [
    (b'{"schema": "octfluid.run/1",\n "kind": ', 'broken JSON at line 2, column 10'),
    (b'\xff\xfe', 'not UTF-8 at byte 0'),
])  # fmt: skip
def test_a_broken_file_is_named_with_the_position(tmp_path, content, message):
    (tmp_path / 'r.json').write_bytes(content)
    with pytest.raises(InputError, match=f'r.json: {message}'):
        read_records([tmp_path])


@pytest.mark.parametrize('given', ['', 'r.json'])
def test_a_record_of_another_schema_is_refused_and_not_skipped(make_record, tmp_path, given):
    (tmp_path / 'r.json').write_text(json.dumps({**make_record(), 'schema': 'octfluid.run/2'}))
    with pytest.raises(
        InputError, match=r'/r\.json: a run record of schema "octfluid\.run/2"; expected "octfluid\.run/1", use'
    ):
        read_records([tmp_path / given])


@pytest.mark.parametrize('schema', [None, 3, 'octfluid.benchmark/1', 'octfluid.runs/1'])
def test_other_json_in_a_folder_is_skipped_whatever_it_calls_its_schema(tmp_path, schema):
    (tmp_path / 'x.json').write_text(json.dumps({'schema': schema}))
    assert read_records([tmp_path]) == []


def test_a_file_that_may_not_be_read_is_named(make_record, tmp_path, monkeypatch):
    write_record(make_record(), tmp_path / 'r.json')

    def refuse(self, **_):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(type(tmp_path), 'read_text', refuse)
    with pytest.raises(InputError, match=r'r\.json: cannot be read \(Permission denied\); expected a text file'):
        read_records([tmp_path])


def test_a_missing_path_and_a_file_that_is_no_record_are_refused(tmp_path):
    with pytest.raises(InputError, match='nowhere: no such file or folder'):
        read_records([tmp_path / 'nowhere'])
    (tmp_path / 'x.json').write_text('{}')
    with pytest.raises(InputError, match=r'x\.json: not a run record'):
        read_records([tmp_path / 'x.json'])


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


def test_file_and_split_sha256(tmp_path):
    paths = [tmp_path / name for name in 'abcd']
    for path, content in zip(paths, (b'1', b'2', b'3', b'4'), strict=True):
        path.write_bytes(content)
    a, b, c, d = paths
    assert file_sha256(a) == hashlib.sha256(b'1').hexdigest()
    base = split_sha256([('x', a, b), ('y', c, d)])
    assert split_sha256([('y', c, d), ('x', a, b)]) == base
    others = [[('x', b, a), ('y', c, d)], [('z', a, b), ('y', c, d)], [('x', a, b)], [('x', a, b), ('y', c, c)]]
    assert len({base, *map(split_sha256, others)}) == 5


@pytest.mark.parametrize(('text', 'said'), [
    ('[' * 100000, 'JSON that octfluid does not write'), ('9' * 5000, 'JSON that octfluid does not write'),
])  # fmt: skip
def test_json_that_python_cannot_take_is_one_line(tmp_path, text, said):
    (tmp_path / 'r.json').write_text(text)
    with pytest.raises(InputError, match=said) as raised:
        read_record(tmp_path / 'r.json')
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize(('changes', 'said'), [
    (dict(seed=10**400), 'field seed is 1000'), (dict(wall_seconds=10**400), 'field wall_seconds is 1000'),
    (dict(device='\ud800'), r"field device is '\\ud800'; expected text"), (dict(overrides={'\ud800': 1}), 'expected text'),
    (dict(overrides=functools.reduce(lambda inner, _: [inner], range(900), [])), 'at most 20 levels'),
])  # fmt: skip
def test_values_that_json_holds_and_no_record_does(make_record, changes, said):
    with pytest.raises(InputError, match=said):
        validate_record(make_record(**changes), 'r.json')
