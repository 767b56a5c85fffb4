import json
import os
from pathlib import Path

import pytest

from octfluid.utils.atomic import atomic_folder, atomic_path, write_json, write_text
from octfluid.utils.errors import InputError
from octfluid.utils.lock import TEMPORARY


def always(_):
    return True


def never(_):
    return False


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_failed_file_leaves_nothing_or_the_old_one(tmp_path):
    write_text(tmp_path / 'a.txt', 'old\n')
    for target in (tmp_path / 'new/b.txt', tmp_path / 'a.txt'):
        with pytest.raises(RuntimeError), atomic_path(target) as temporary:
            assert temporary.suffix == '.txt'
            assert temporary.name.startswith(TEMPORARY)
            temporary.write_text('half')
            raise RuntimeError
    assert names(tmp_path) == ['a.txt', 'new'] and names(tmp_path / 'new') == []
    assert (tmp_path / 'a.txt').read_bytes() == b'old\n'


@pytest.fixture
def events(monkeypatch):
    """What is flushed to the disk and what gets its name, by inode, in the order in which it happens."""
    seen = []
    monkeypatch.setattr(os, 'fsync', lambda handle: seen.append(('flushed', os.fstat(handle).st_ino)))
    for name in ('replace', 'rename'):
        method = getattr(Path, name)
        monkeypatch.setattr(
            Path, name, lambda path, to, method=method: seen.append(('named', path.stat().st_ino)) or method(path, to)
        )
    return seen


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_end(events, tmp_path):
    write_text(tmp_path / 'a.txt', 'whole')
    file, folder = (tmp_path / 'a.txt').stat().st_ino, tmp_path.stat().st_ino
    assert events == [('flushed', file), ('named', file), ('flushed', folder)]


def test_json_round_trip_and_no_nan(tmp_path):
    write_json(tmp_path / 'a.json', {'x': [1, None, 0.5]})
    assert json.loads((tmp_path / 'a.json').read_text()) == {'x': [1, None, 0.5]}
    with pytest.raises(ValueError):
        write_json(tmp_path / 'a.json', {'x': float('nan')})
    assert json.loads((tmp_path / 'a.json').read_text()) == {'x': [1, None, 0.5]}


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_failed_folder_changes_nothing(tmp_path, error):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'old').write_text('1')
    for name in ('q/data', 'data'):
        with pytest.raises(error), atomic_folder(tmp_path / name, always) as temporary:
            (temporary / 'new').write_text('half')
            raise error
    assert names(tmp_path) == ['data'] and names(tmp_path / 'data') == ['old']


def test_our_folder_is_replaced_not_merged(tmp_path):
    (tmp_path / 'disk' / 'sub').mkdir(parents=True)
    (tmp_path / 'disk' / 'sub' / 'old').write_text('1')
    (tmp_path / 'data').symlink_to(tmp_path / 'disk')
    seen = []
    with atomic_folder(tmp_path / 'data', lambda folder: not seen.append(folder)) as temporary:
        (temporary / 'new').write_text('2')
        assert (tmp_path / 'data' / 'sub' / 'old').exists()
    assert names(tmp_path) == ['data', 'disk'] and names(tmp_path / 'disk') == ['new']
    assert (tmp_path / 'data').is_symlink() and set(seen) == {tmp_path / 'disk'}


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    (tmp_path / 'a').touch()
    for mode in (0o600, 0o755):
        (tmp_path / 'a').chmod(mode)
        write_text(tmp_path / 'a', 'new')
        assert (tmp_path / 'a').stat().st_mode & 0o777 == mode


def test_foreign_folder_and_file_are_refused_before_any_work(tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'thesis.tex').write_text('years')
    (tmp_path / 'file').write_text('x')
    for name in ('data', 'file', 'file/sub/new'):
        with pytest.raises(InputError, match=f'{name}: '), atomic_folder(tmp_path / name, never):
            pytest.fail('the block must not run')
    with pytest.raises(InputError), atomic_folder(tmp_path / 'late', never):
        (tmp_path / 'data').rename(tmp_path / 'late')
    assert names(tmp_path) == ['file', 'late'] and names(tmp_path / 'late') == ['thesis.tex']


def test_old_folder_comes_back_when_the_new_one_cannot_move_in(tmp_path, monkeypatch):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'old').write_text('1')
    rename = Path.rename

    def fail_for_the_new_one(self, target):
        if self.name.startswith('.octfluid-new'):
            raise OSError('no')
        return rename(self, target)

    monkeypatch.setattr(Path, 'rename', fail_for_the_new_one)
    with pytest.raises(OSError, match='no'), atomic_folder(tmp_path / 'data', always):
        pass
    assert names(tmp_path) == ['data'] and names(tmp_path / 'data') == ['old']


def test_leftovers_of_killed_processes_go_and_the_folder_that_was_moved_aside_comes_back(tmp_path):
    for name in ('.octfluid-new-data', '.octfluid-old-data', '.octfluid-new-data-2'):
        (tmp_path / name).mkdir()
    (tmp_path / '.octfluid-old-data' / 'old').write_text('1')
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / 'data', always):
        raise RuntimeError
    assert names(tmp_path) == ['.octfluid-new-data-2', 'data'] and names(tmp_path / 'data') == ['old']
