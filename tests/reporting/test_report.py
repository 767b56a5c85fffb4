import statistics
from pathlib import Path

import pytest

from octfluid.metrics.threshold_free import BINS
from octfluid.records.record import to_run
from octfluid.reporting import estimates, model_card
from octfluid.reporting.pages import render as render_text
from octfluid.reporting.pages import render_page
from octfluid.reporting.report import README_BEGIN, README_END, build_results, default_readme, write_report
from octfluid.reporting.table2 import paper_rows
from octfluid.utils.errors import InputError

# Two images; fluid in the first only.
EMPTY = (0, 0, 0, 65536)
COUNTS = [[(30, 10, 20, 65476), (0, 5, 0, 65531)], [(35, 10, 15, 65476), EMPTY], [(20, 0, 30, 65486), EMPTY]]
ROW10, ROW6 = 'table2/10_crop320_wd1e-4', 'table2/06_crop320'


@pytest.fixture
def runs(make_run, hrf_weights):
    """Row 10 from HRF with three seeds, row 6 from HRF with one, row 10 from scratch with two."""
    runs = [make_run(ROW10, counts, seed=seed, init=hrf_weights) for seed, counts in enumerate(COUNTS)]
    runs += [make_run(ROW6, COUNTS[0], init=hrf_weights, config_sha256='6' * 64)]
    return runs + [make_run(ROW10, counts, seed=seed) for seed, counts in enumerate(COUNTS[:2])]


def render(table):
    return render_page('table2.md', {'table2': table}, linked=False)


def rows_of(text, heading, row):
    """The cells of a row in each of the tables below a heading: means over classes, then fluid."""
    section = next(part for part in text.split('\n## ') if part.startswith(heading))
    return [line.strip('| ').split(' | ') for line in section.splitlines() if line.startswith(f'| {row} |')]


def test_paper_rows_agree_with_themselves():
    rows = paper_rows()
    assert [row['row'] for row in rows] == list(range(1, 12))
    assert [row['iterations'] for row in rows] == [200] + [400] * 10
    assert rows[9]['setting'] == '400 iterations, crop 320, CE, SGD, weight decay 1e-4'
    assert rows[9]['paper'] == {'mIoU': 0.76, 'mDice': 0.843, 'Dice': 0.6883, 'IoU': 0.5247}
    assert rows[10]['paper']['Dice'] is None
    for row in rows[:10]:
        iou = row['paper']['IoU']
        assert row['paper']['Dice'] == pytest.approx(2 * iou / (1 + iou), abs=2e-4), row['row']


def test_table_shows_paper_ours_and_difference(runs):
    text = render(build_results(runs)['table2'])
    means, fluid = rows_of(text, 'From HRF vessel weights trained here', 10)
    # Pooled fluid Dice of the three seeds: 60/95, 70/95, 40/70.
    values = [100 * value for value in (60 / 95, 70 / 95, 40 / 70)]
    mean, sd = statistics.mean(values), statistics.stdev(values)
    assert fluid[2:5] == ['68.83', f'{mean:.2f} ± {sd:.2f}', f'{mean - 68.83:+.2f}']
    assert means[-1] == fluid[-1] == 'n = 3' and means[2] == '76.00'
    single = rows_of(text, 'From HRF vessel weights trained here', 6)[1]
    assert (single[3], single[-1]) == ('63.16', 'n = 1')
    assert rows_of(text, 'From HRF vessel weights trained here', 11)[1][2:4] == ['-', 'not run']
    # From scratch only what was run is shown. 50 fluid pixels in two images of 65536: background IoU is 131022 / 131072.
    assert rows_of(text, 'From scratch', '-')[0][1:5] == ['background everywhere', '-', f'{100 * 131022 / 131072 / 2:.2f}', '-']
    assert rows_of(text, 'From scratch', 10)[0][-1] == 'n = 2' and rows_of(text, 'From scratch', 6) == []


def test_scores_without_a_threshold_are_shown_where_every_image_has_a_histogram(make_run, hrf_weights, pages_of, rows_below):
    run, bins = make_run(ROW10, init=hrf_weights), [0] * BINS
    for image in run.record['images']:
        true = image['tp'] + image['fn']
        image['extra'] = {'logit_histogram': {'fluid': [*bins[1:], true], 'background': [65536 - true, *bins[1:]]}}
    # Older records have none: another row, and row 10 from scratch.
    results = build_results([run, make_run(ROW6, init=hrf_weights), make_run(ROW10, init=None)])
    text = render(results['table2'])
    shown = [rows_of(text, 'From HRF', row)[1][-4:-1] for row in (6, 10)]
    assert shown == [['-', '-', '-'], ['100.00', '100.00', '0.04']]
    scratch, (*_, precision, best, error, _, _, _, _, _) = rows_below(pages_of(results)['ablations.md'], 'Row 10 by length')
    assert [precision, best, error] == ['100.00 (n = 1)', '100.00 (n = 1)', '0.04 (n = 1)'] and scratch[4:7] == ['-', '-', '-']


@pytest.mark.parametrize(('changes', 'named'), [
    ({'kind': 'test'}, 'test'),
    ({'split': 'mine'}, 'split mine'),
    ({'variant': 'stock'}, 'variant stock'),
    ({'iterations': 5, 'overrides': {'train_cfg.max_iters': 5}}, '5 of 400'),
    ({'overrides': {'optim_wrapper.optimizer.lr': 0.1, 'work_dir': 'x'}}, 'optim_wrapper.optimizer.lr'),
    ({'init': dict(source='other', name='mine.pth', sha256='9' * 64, loaded=1, total=1)}, 'mine.pth'),
    ({'config': 'configs/table2/12_more.py'}, 'config'),
])  # fmt: skip
def test_a_run_that_does_not_count_is_listed_with_the_reason(make_record, changes, named):
    run = to_run(Path('x.json'), make_record(**changes))
    table = build_results([run])['table2']
    ((label, reason),) = table['not_used']
    assert label == run.label and named in reason and 'work_dir' not in reason
    assert not any(table['sections'].values())
    assert f'- `{run.label}`: {reason}\n' in render(table)


def test_the_same_run_twice_counts_once_and_contradictions_are_refused(make_record):
    first, same = (to_run(Path(name), make_record()) for name in ('a.json', 'b.json'))
    results = build_results([first, same])
    assert (results['table2']['sections']['scratch']['10']['n'], results['repeated']) == (1, [first.label])
    with pytest.raises(InputError, match=r'a\.json.*c\.json'):
        build_results([first, to_run(Path('c.json'), make_record(COUNTS[1]))])


@pytest.mark.parametrize('changes', [
    {'config_sha256': '9' * 64}, {'split_sha256': '9' * 64}, {'init': '9'},
    {'init': '9', 'config': 'configs/table2/06_crop320.py'},  # rows of a section share their weights too
])  # fmt: skip
def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(make_record, own, changes):
    changes = {key: own(digit='9') if key == 'init' else value for key, value in changes.items()}
    first, second = make_record(init=own()), make_record(**{'seed': 1, 'init': own()} | changes)
    with pytest.raises(InputError, match=r'[ab]\.json.*[ab]\.json'):
        build_results([to_run(Path('a.json'), first), to_run(Path('b.json'), second)])


def test_recipes_are_grouped_by_all_that_matters(make_record):
    smoke = {'config': 'configs/smoke/tiny.py', 'split': 'phantom', 'iterations': 60}
    records = [make_record(counts, seed=seed, **smoke) for seed, counts in enumerate(COUNTS[:2])]
    records += [make_record(kind='test', **smoke), make_record(config='configs/duke_dme/a.py', variant='tta'),
                make_record(config='configs/smoke/tiny.py', overrides={'train_cfg.max_iters': 5}),
                make_record(config='configs/hrf/psp.py'), make_record()]  # fmt: skip
    recipes = build_results([to_run(Path(f'{i}.json'), record) for i, record in enumerate(records)])['recipes']
    assert [(group['config'], group['kind'], group['variant'], group['n']) for group in recipes['groups']] == [
        ('configs/duke_dme/a.py', 'train', 'tta', 1),
        ('configs/smoke/tiny.py', 'test', '', 1),
        ('configs/smoke/tiny.py', 'train', 'train_cfg.max_iters=5', 1),
        ('configs/smoke/tiny.py', 'train', '', 2),
    ]


def test_seeds_of_different_precision_or_device_are_averaged_and_marked(make_run, pages_of):
    both = 'fp32', 'bf16'
    pairs = ((ROW10, both), (ROW6, ('bf16', 'bf16')), ('smoke/tiny', both), ('duke_dme/compact', both))
    results = build_results([
        make_run(config, COUNTS[place], seed=10 - 8 * place, precision=precision)
        for config, pair in pairs for place, precision in enumerate(pair)
    ])  # fmt: skip
    summary = results['table2']['sections']['scratch']['10']
    assert (summary['precisions'], summary['devices']) == ({'bf16': 1, 'fp32': 1}, {'a CPU': 2})
    # Values come in the order of the seeds; by file name, seed 10 comes before seed 2.
    assert (summary['seeds'], summary['Dice']['values']) == ([2, 10], pytest.approx([70 / 95, 60 / 95], abs=1e-8))
    pages = pages_of(results)
    text = pages['table2.md']
    assert rows_of(text, 'From scratch', 10)[0][-1] == 'n = 2 †' and rows_of(text, 'From scratch', 6)[0][-1] == 'n = 2'
    assert text.count('†: ') == 1 and '| n = 2 † |' in pages['recipes.md'] and '(n = 2 †)' in pages['ablations.md']
    assert 'n = 2 †' in (block := render_text('readme.md', results)) and block.count('†: ') == 1


def test_the_order_of_reading_changes_nothing(runs, tmp_path):
    _, first = write_report(runs, tmp_path / 'a')
    _, second = write_report(runs[::-1], tmp_path / 'b')
    figures = ['loss_table2.png', 'row10_by_source_length.png']
    pages = ['table2.md', 'ablations.md', 'recipes.md', 'what_holds_up.md', 'speed.md']
    assert [path.name for path in first] == [*pages, 'report.html', 'results.json', *figures]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert 'data:image/png;base64,' in (tmp_path / 'a/report.html').read_text()
    # Pages and figures without runs are removed, and other files are left.
    (tmp_path / 'a/figures/mine.png').write_bytes(b'')
    (tmp_path / 'a/table1.md').write_text('mine')
    write_report([], tmp_path / 'a')
    assert [path.name for path in (tmp_path / 'a/figures').iterdir()] == ['mine.png']
    assert sorted(path.name for path in (tmp_path / 'a').glob('*.md')) == ['recipes.md', 'table1.md']


def test_published_pages_link_to_configs_and_records_and_the_readme_block_is_replaced(runs, tmp_path):
    out, readme = tmp_path / 'docs' / 'results', tmp_path / 'README.md'
    assert default_readme(out) is None
    readme.write_text(f'before\n\n{README_BEGIN}\nearlier\n{README_END}\n\nafter\n')
    assert default_readme(out) == readme and default_readme(tmp_path / 'elsewhere') is None
    write_report(runs, out, readme)
    page = (out / 'table2.md').read_text()
    assert '| [10](../../configs/table2/10_crop320_wd1e-4.py) |' in page
    assert '[n = 1](records/table2/06_crop320/train_paper_hrf-own_400i_seed0.json)' in page
    text = readme.read_text()
    assert text.startswith(f'before\n\n{README_BEGIN}\nTable 2') and text.endswith(f'{README_END}\n\nafter\n')
    rows = {line.split(' | ')[0].strip('| '): line.split(' | ') for line in text.splitlines() if line.startswith('| ')}
    assert rows['10'][1] == '[crop 320, weight decay 1e-4](configs/table2/10_crop320_wd1e-4.py)'
    assert rows['10'][2] == '76.00 / 84.30' and rows['1'][3] == '- |'
    assert '([n = 3](docs/results/records/table2/10_crop320_wd1e-4))' in rows['10'][3]
    write_report(runs, tmp_path / 'elsewhere', readme)
    assert not any(link in (tmp_path / 'elsewhere/table2.md').read_text() for link in ('](records/', '](../../'))


OWN = dict(config='configs/own_data/compact.py', config_sha256='5' * 64, iterations=450)


@pytest.fixture
def fold(run_of_images):
    """Make the run of a fold of six patients, two scans each: half of the fluid is found in odd ones, all in even ones."""

    def make(number, patients=None, **changes):
        found = {1: (50, 0, 50), 0: (100, 0, 0)}
        rows = [(f'p{p}_{scan}_{number}', p, *found[p % 2]) for p in patients or (number, number + 3) for scan in (1, 2)]
        return run_of_images(rows, f'{number}.json', split=f'fold{number}', split_sha256=f'{number:064x}', **OWN | changes)

    return make


def test_a_report_of_ones_own_data_is_about_these_alone(fold, tmp_path):
    lower = dict(overrides={'optim_wrapper': {'optimizer': {'lr': 0.001}}}, config_sha256='6' * 64)
    runs = [fold(number, **changes) for changes in ({}, lower) for number in (3, 1, 2)]
    results, written = write_report(runs, tmp_path)
    assert [path.name for path in written] == ['recipes.md', 'speed.md', 'report.html', 'results.json']
    group, changed = results['estimates']['groups']
    assert (group['protocol'], group['images'], group['subjects'], group['shared_subjects']) == ('folds', 12, 6, False)
    # 900 pixels are found, and 300 missed.
    assert group['measures']['dice']['value'] == pytest.approx(1800 / 2100)
    low, high = group['measures']['dice']['interval']
    assert 2 / 3 <= low < 1800 / 2100 < high <= 1
    assert changed['variant'] == 'optim_wrapper.optimizer.lr=0.001' and changed['measures'] == group['measures']
    text = (tmp_path / 'recipes.md').read_text()
    assert text.startswith('# Scores\n') and 'paper' not in text.lower() and 'Not used' not in text
    assert text.count('train, optim_wrapper.optimizer.lr=0.001 |') == 3 and '85.71 [' in text
    assert 'table 2' not in (tmp_path / 'report.html').read_text().lower()


@pytest.mark.parametrize(('folds', 'missing', 'shared'), [
    ({1: None, 3: None}, ['fold2'], False),
    ({1: None, 2: None}, ['fold3'], False),
    ({1: None, 2: None, 3: None, 5: (7,)}, ['fold4'], False),
    ({1: (1, 2), 2: (2, 3), 3: (4,)}, [], True),
    ({1: (1,), 2: (3,), 3: (5,)}, [], False),
])  # fmt: skip
def test_folds_of_ones_own_data(fold, folds, missing, shared):
    runs = [fold(number, patients) for number, patients in folds.items()]
    (group,) = estimates.build(runs)
    assert (group['missing'], group['shared_subjects'], group['measures'] is None) == (missing, shared, bool(missing))
    if not missing:
        assert [(one['protocol'], one['patients_seen']) for one in model_card.scores_of(runs)] == [('folds', shared)]


@pytest.mark.parametrize('text', [README_BEGIN, f'{README_END}{README_BEGIN}', f'{README_BEGIN}{README_END}{README_BEGIN}'])
def test_a_readme_without_the_block_is_refused_before_anything_is_written(tmp_path, text):
    (tmp_path / 'README.md').write_text(text)
    with pytest.raises(InputError, match='README.md'):
        write_report([], tmp_path / 'out', tmp_path / 'README.md')
    assert not (tmp_path / 'out').exists()
