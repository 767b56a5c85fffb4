import re

import pytest

from octfluid.reporting.page import reading, render_page, style, svg, tables
from octfluid.reporting.page.commands import command_lines, versions
from octfluid.reporting.page.groups import runs_of, shown, training_name
from octfluid.reporting.published import read_published
from octfluid.reporting.report import build_results

WEIGHTS = 'checkpoints/hrf/pspnet_unet_s5-d16_hrf_1000i_eeeeeeee.safetensors'
ROW10 = 'configs/table2/10_crop320_wd1e-4.py'


@pytest.fixture
def lines_of(make_run, own):
    """Command lines of runs of row 10 from weights of 1 000 iterations, of (seed, split) pairs."""

    usual = own(iterations=1000)

    def make(pairs=((0, 'paper'),), init=usual, **changes):
        runs = [make_run('table2/10_crop320_wd1e-4', seed=seed, split=split, init=init, **changes) for seed, split in pairs]
        return command_lines(runs)

    return make


def test_one_run_is_one_command(lines_of):
    assert lines_of() == [f'python tools/train.py {ROW10} --seed 0 --split paper --init {WEIGHTS} --amp']
    assert lines_of(precision='fp32', init=None) == [f'python tools/train.py {ROW10} --seed 0 --split paper --init none']


def test_a_run_of_the_same_name_is_not_taken_for_one_behind_a_groups_scores(make_run):
    usual, other = make_run('smoke/duke_dme'), make_run('mine/duke_dme', config_sha256='1' * 64)
    changed = make_run('smoke/duke_dme', overrides={'optim_wrapper.optimizer.lr': 0.5}, config_sha256='2' * 64)
    runs = [usual, other, changed]
    assert len({run.label for run in runs}) == 1
    groups = build_results(runs)['estimates']['groups']
    assert [runs_of(group, runs) for group in groups] == [[other], [usual]]
    page = render_page(build_results(runs), runs)
    assert 'lr=0.5' not in page and 'tools/train.py configs/mine/duke_dme.py' in page and 'from 3 run records' in page


def test_seeds_and_folds_are_loops_if_all_were_run(lines_of):
    command = f'--init {WEIGHTS} --amp'
    seeds = lines_of([(2, 'paper'), (0, 'paper'), (1, 'paper')])
    assert seeds == [f'for seed in 0 1 2; do python tools/train.py {ROW10} --seed $seed --split paper {command}; done']
    both = lines_of([(seed, split) for seed in (0, 1) for split in ('subject01', 'subject02')])
    assert both == [
        'for seed in 0 1; do for split in subject01 subject02; do '
        f'python tools/train.py {ROW10} --seed $seed --split $split {command}; done; done'
    ]
    some = lines_of([(0, 'subject01'), (0, 'subject02'), (1, 'subject02')])
    assert [re.findall(r'--seed (\d) --split (\w+)', line) for line in some] == [
        [('0', 'subject01')], [('0', 'subject02')], [('1', 'subject02')]
    ]  # fmt: skip


def test_weights_are_where_they_are_made_or_fetched(lines_of, zoo_weights):
    assert f'--init checkpoints/{zoo_weights["name"]} ' in lines_of(init=zoo_weights)[0]
    elsewhere = {**zoo_weights, 'source': 'other', 'name': 'https://example.org/a b.pth'}
    assert "--init 'https://example.org/a b.pth'" in lines_of(init=elsewhere)[0]


def test_what_else_was_asked_for_is_in_the_command(lines_of):
    line = lines_of(deterministic=True, overrides={'a.b': 5, 'c': 'x y'}, variant='4processes')[0]
    assert line.startswith(f'torchrun --nproc-per-node 4 tools/train.py {ROW10} --seed 0 --split paper')
    assert line.endswith("--deterministic --amp --cfg-options a.b=5 'c=x y' --launcher pytorch")


def test_a_test_takes_a_checkpoint_and_no_seed(lines_of):
    common = {'kind': 'test', 'precision': 'fp32'}
    assert lines_of(iterations=0, **common) == [f'python tools/test.py {ROW10} {WEIGHTS} --split paper']
    tuned = lines_of(iterations=400, variant='bf16', kind='test', precision='bf16')
    assert tuned == [f'python tools/test.py {ROW10} work_dirs/10_crop320_wd1e-4/iter_400.pth --split paper --amp']


def test_versions_are_counted(make_run):
    git = {'commit': 40 * 'a', 'dirty': True}
    page = versions([make_run('hrf/pspnet', seed=seed, git=git if seed else None) for seed in range(3)])
    for name, value in (('device', 'a CPU</code> (3 runs)'), ('precision', 'bf16</code> (3 runs)'), ('torch', '2.13.0')):
        assert re.search(rf'<th scope="row">{name}</th><td><code>{re.escape(value)}', page)
    assert '<code>aaaaaaaaaaaa with changes</code> (2 runs)<br><code>no repository</code> (1 run)' in page


def group(name, protocol='paper', dice=0.5, images=(1,)):
    return {
        'config': name, 'kind': 'train', 'protocol': protocol, 'init': 'scratch', 'iterations': 1, 'variant': '',
        'per_image': list(images), 'measures': None if dice is None else {'dice': {'value': dice}},
    }  # fmt: skip


def names(groups):
    return [(of['config'], of['protocol']) for of in shown(groups)]


def test_plots_show_the_configuration_of_most_protocols_then_the_best():
    groups = [
        group('best', dice=0.9),
        group('a', dice=0.1),
        group('undefined'),
        group('empty', images=()),
        group('b', dice=0.7),
    ]
    groups += [group('a', 'leave-one-subject-out', None), group('c', dice=0.6)]
    groups[2]['measures']['dice']['value'] = None
    assert names(groups) == [('a', 'paper'), ('a', 'leave-one-subject-out'), ('best', 'paper'), ('b', 'paper')]
    assert names(groups[:4]) == [('best', 'paper'), ('a', 'paper'), ('undefined', 'paper')]
    many = [group('a', protocol) for protocol in 'uvwxyz'] + [group('best', dice=0.9)]
    assert names(many) == [('a', 'u'), ('a', 'v'), ('a', 'w'), ('best', 'paper')]
    assert names([]) == []


def test_training_in_words():
    of = {**group('a'), 'init': 'hrf-own-1000i', 'iterations': 40000}
    assert training_name(of) == 'from HRF (own), 1\u00a0000 iterations; trained for 40\u00a0000 iterations'
    assert training_name({**of, 'init': 'other', 'iterations': 0}) == 'from other; not trained on fluid'


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize('colours', [style.LIGHT, style.DARK])
def test_colours_stand_out_from_their_background(colours):
    """As WCAG 2.2 asks: 4.5 to 1 for text, 3 to 1 for marks."""
    contrast = {
        name: (max(luminance(value), luminance(colours['paper'])) + 0.05)
        / (min(luminance(value), luminance(colours['paper'])) + 0.05)
        for name, value in colours.items()
    }
    assert min(contrast[name] for name in ('ink', 'soft', 'link')) >= 4.5
    assert min(contrast[f'series-{number}'] for number in range(1, style.SERIES + 1)) >= 3
    assert len({colours[f'series-{number}'] for number in range(1, style.SERIES + 1)}) == len(svg.MARKERS) == style.SERIES
    assert all(f'--{name}: {value};' in style.CSS for name, value in colours.items())


def test_protocols_say_whether_patients_are_on_both_sides():
    kinds = [
        ('paper', True, 1),
        ('leave-one-subject-out', False, 1),
        ('half', None, 1),
        ('paper', True, 2),
        ('paper', False, 0),
    ]
    groups = [dict(protocol=name, shared_subjects=shared, iterations=length) for name, shared, length in kinds]
    leaks = [
        dict(family='leakage', arm='a', reference='b', difference=0.11, interval=[0.04, 0.2], note='', p_holm=0.01),
        dict(family='leakage', arm='c', reference='d', difference=None, interval=None, note='on 12 of 22 images', p_holm=None),
        dict(family='conclusions', arm='e', reference='f', difference=0.1, interval=None, note=''),
    ]
    told = re.findall(r'<li><strong>(.*?)</strong>: (.*?)</li>', tables.protocols(groups, leaks))
    assert [(name, words.split(':')[0]) for name, words in told] == [
        ('the paper&#x27;s split', 'patients stand on both sides'),
        ('leave one subject out', 'no scored patient was trained on'),
        ('half', 'the records do not tell whether patients stand on both sides; take its scores with care.'),
        ('the paper&#x27;s split, by networks that were never trained on fluid', 'no scored patient was trained on'),
        ('Leakage measured', 'a minus b'),
        ('Leakage measured', 'c minus d'),
    ]
    assert 'a minus b: +11.00 [+4.00, +20.00] points of fluid Dice, on the same images; ' in told[-2][1]
    assert told[-2][1].endswith('split flatters.')
    assert 'c minus d: - points of fluid Dice; on 12 of 22 images; no interval' in told[-1][1]


def test_published_scores_have_a_protocol_a_standing_and_a_caveat():
    rows, page = read_published('published_fluid.csv'), reading.published()
    assert len(rows) == 8 and all(row['method'] and row['protocol'] and row['score'] and row['caveat'] for row in rows)
    assert {row['standing'] for row in rows} == {'read', 'secondary', 'recalled'}
    for row in rows:
        line = page.split(f'<th scope="row">{row["method"]}</th>')[1].split('</tr>')[0]
        assert f'<td>{row["protocol"]}</td><td>{row["score"]}</td>' in line and line.endswith(f'<td>{row["caveat"]}</td>')
