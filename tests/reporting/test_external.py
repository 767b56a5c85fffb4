from pathlib import Path

import pytest

from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import to_run
from octfluid.reporting import external
from octfluid.reporting.report import build_results, render_pages

# name, height, width, tp, fp, fn
SCANS = (
    ('Cirrus_1', 10, 10, 30, 10, 20),
    ('Cirrus_2', 10, 20, 10, 30, 0),
    ('Cirrus_3', 10, 10, 0, 5, 0),
    ('Topcon_3D_1', 20, 10, 0, 0, 0),
    ('Topcon_3D_2', 10, 10, 0, 6, 0),
    ('Spectralis_1', 10, 10, 0, 0, 8),
)


@pytest.fixture
def external_run(make_record):
    """Make a run on external scans from lines like those of `SCANS`."""

    def make(scans=SCANS, **changes):
        images = [
            dict(name=name, subject=number, height=height, width=width, tp=tp, fp=fp, fn=fn,
                 tn=height * width - tp - fp - fn, extra={})
            for number, (name, height, width, tp, fp, fn) in enumerate(scans, 1)
        ]  # fmt: skip
        record = make_record(
            **{'config': 'configs/external/compact.py', 'kind': 'test', 'split': 'all', 'iterations': 0, 'history': [],
               'images': images, 'metrics': pooled_metrics(images), **changes}
        )  # fmt: skip
        return to_run(Path(f'external_{record["seed"]}.json'), record)

    return make


@pytest.fixture
def devices(external_run):
    (test,) = external.build([external_run()])
    return {device['group']: device for device in test['groups']}


@pytest.mark.parametrize(('name', 'device'), [
    ('Cirrus_3', 'Cirrus'), ('Topcon_3D_12', 'Topcon_3D'), ('scan', 'scan'), ('_7', '_7'),
])  # fmt: skip
def test_a_group_is_what_stands_before_the_last_underscore(name, device):
    assert external.group_of(name) == device


def test_scores_are_pooled_over_the_scans_of_a_device(devices):
    # tp 40, fp 45, fn 20: Dice 80 / (80 + 65); one scan of 100 pixels holds no fluid, 5 of its pixels are marked.
    assert devices['Cirrus'] == {
        'group': 'Cirrus', 'scans': 3, 'with_fluid': 2, 'dice': pytest.approx(80 / 145, abs=1e-8),
        'precision': pytest.approx(40 / 85, abs=1e-8), 'recall': pytest.approx(40 / 60, abs=1e-8),
        'empty': 1, 'marked': 1, 'false_share': 0.05,
    }  # fmt: skip


def test_of_scans_without_fluid_counts_what_is_marked(devices):
    # 6 of 200 + 100 pixels, on one of the two scans.
    topcon = devices['Topcon_3D']
    assert {key: topcon[key] for key in ('scans', 'with_fluid', 'empty', 'marked', 'false_share', 'recall')} == {
        'scans': 2, 'with_fluid': 0, 'empty': 2, 'marked': 1, 'false_share': 0.02, 'recall': None,
    }  # fmt: skip


def test_fluid_that_is_missed_altogether_has_no_precision(devices):
    missed = devices['Spectralis']
    assert (missed['dice'], missed['precision'], missed['recall'], missed['false_share']) == (0, None, 0, None)


def test_the_last_line_is_of_all_devices(external_run, devices):
    (test,) = external.build([external_run()])
    assert [device['group'] for device in test['groups']] == ['Cirrus', 'Spectralis', 'Topcon_3D', external.ALL]
    # tp 40, fp 51, fn 28 in all; 11 of the 100 + 200 + 100 pixels without fluid are marked.
    both = devices[external.ALL]
    assert (both['scans'], both['with_fluid'], both['empty'], both['marked']) == (6, 3, 3, 2)
    assert both['dice'] == pytest.approx(80 / 159, abs=1e-8) and both['false_share'] == 0.0275


def test_where_there_is_nothing_to_count_stands_a_dash(external_run, rows_below):
    text = external.render(external.build([external_run()]))
    lines = {line[0]: line[1:] for line in rows_below(text, '`configs/external/compact.py`, weights dddddddd')}
    assert lines == {
        'Cirrus': ['3', '2', '55.17', '47.06', '66.67', '1 of 1', '5.00'],
        'Spectralis': ['1', '1', '0.00', '-', '0.00', '-', '-'],
        # Marked where no scan holds fluid, a Dice of 0 would look like a score.
        'Topcon_3D': ['2', '0', '-', '-', '-', '1 of 2', '2.00'],
        'all': ['6', '3', '50.31', '43.96', '58.82', '2 of 3', '2.75'],
    }


def test_without_runs_the_page_says_so():
    assert external.build([]) == [] and 'No run is recorded.' in external.render([])


def test_runs_with_overrides_that_change_a_result_are_left_out(external_run):
    assert external.build([external_run(overrides={'model.threshold': 0.4})]) == []


def test_variants_have_sections_of_their_own_and_stand_in_no_table_of_recipes(external_run):
    other = external_run(variant='average', checkpoint_sha256='e' * 64)
    results = build_results([external_run(), other])
    assert [(test['variant'], test['checkpoint_sha256'][0]) for test in results['external']] == [('', 'd'), ('average', 'e')]
    page = render_pages(results)['external.md']
    assert '## `configs/external/compact.py`, weights dddddddd' in page
    assert '## `configs/external/compact.py`, average, weights eeeeeeee' in page
    assert results['recipes'] == build_results([])['recipes']
