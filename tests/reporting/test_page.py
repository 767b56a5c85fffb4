import random
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import product
from xml.etree import ElementTree

import pytest
from PIL import Image

from octfluid.metrics.confusion import pooled_metrics
from octfluid.metrics.measures import MEASURES
from octfluid.records.record import published_path, to_run
from octfluid.reporting.page import render_page

VOID = {'meta', 'link', 'img', 'br', 'wbr', 'hr', 'input'}
LOSO = 'leave-one-subject-out'
ROW10, ROW6 = 'configs/table2/10_crop320_wd1e-4.py', 'configs/table2/06_crop320.py'


class Page(HTMLParser):
    """What tests ask of a page: that its tags are closed in order, its elements with their attributes, its text."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.words, self.source = [], [], [], source
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if not {'style', 'title'} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return ' '.join(' '.join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def svgs(self):
        return [ElementTree.fromstring(part) for part in re.findall(r'<svg.*?</svg>', self.source, re.DOTALL)]


def value(rng, name):
    unit = MEASURES[name].unit
    middle = {'%': rng.uniform(0.3, 0.8), 'px': rng.uniform(-200, 900), '': rng.uniform(0.5, 0.95)}[unit]
    half = abs(middle) * rng.uniform(0.05, 0.3)
    return {'value': middle, 'interval': [middle - half, middle + half], 'images': 22}


def group(config=ROW10, protocol='paper', init='hrf-own-1000i', seeds=(0, 1, 2), missing=(), shared=True, level=0.6, **changes):
    """A group of made-up scores of ten patients, the last of whom has no fluid and no prediction."""
    rng = random.Random(f'{config} {protocol} {init}')
    subjects = []
    for number in [*range(1, 10), None]:
        dice = [min(0.98, max(0.0, rng.gauss(level, 0.12))) if number else None for _ in seeds]
        mean, area = (sum(dice) / len(dice), int(rng.lognormvariate(7.5, 1))) if number else (None, 0)
        subjects.append(dict(subject=number, images=2, with_fluid=1, true_px=area, dice=dice, mean=mean))
    true = [int(rng.lognormvariate(6.5, 1.2)) * (index % 3 > 0) for index in range(22)]
    predicted = [max(0.0, area * rng.uniform(0.5, 1.3) + rng.uniform(-30, 60)) for area in true]
    images = [{'name': f's01_z{index}', 'true_px': area} for index, area in enumerate(true)]
    whole = not missing
    content = {
        'key': f'{config} train {protocol} {init} 400', 'table': 'table2', 'config': config, 'kind': 'train',
        'protocol': protocol, 'init': init, 'iterations': 400, 'variant': '', 'seeds': list(seeds), 'foreground': 'fluid',
        'images': 22, 'with_fluid': 15, 'subjects': 10, 'size': [256, 256], 'pixel_mm2': 0.0002549, 'missing': list(missing),
        'shared_subjects': shared, 'devices': {'a CPU': 3}, 'precisions': {'bf16': 3},
        'measures': {name: value(rng, name) for name in MEASURES} if whole else None,
        'per_subject': subjects, 'per_image': images,
        'bland_altman': {'true': true, 'predicted': predicted, 'bias': -112.4, 'low': -900.1, 'high': 675.3} if whole else None,
        'records': [],
    }  # fmt: skip
    if whole:
        content['measures']['dice']['value'] = level
    return {**content, **changes}


def comparison(family, title, difference=0.05, interval=(0.01, 0.09), p=0.012, **changes):
    return {
        'family': family, 'title': title, 'arm': 'row 10 (hrf-own-1000i), paper', 'reference': 'row 10 (scratch)',
        'measure': 'dice', 'protocol': 'paper', 'note': '',
        'difference': difference, 'interval': interval and list(interval), 'p': p, 'permutations': 512, 'exact': True,
        'p_holm': p and min(1, 2 * p), 'subjects': 9, 'images': 22, 'seeds': [3, 3], **changes,
    }  # fmt: skip


def made_up():
    """`results` with every kind of group and comparison that the page has to show."""
    withheld = group(ROW10, LOSO, 'scratch', (0,), missing=['subject04', 'subject07 (seed 1)'], shared=False)
    bare = group('configs/duke_dme/pspnet.py', 'train6-10_test1-5', 'other', (5,), shared=None, pixel_mm2=None, level=0.4)
    bare['measures'] = {name: {'value': None, 'interval': None, 'images': 0} for name in MEASURES}
    bare['bland_altman'] |= {'low': None, 'high': None}
    few = group(ROW6, seeds=(0,), subjects=3, level=0.55)
    few['measures'] = {name: found | {'interval': None} for name, found in few['measures'].items()}
    unseen = group('configs/table1/pspnet.py', shared=False, kind='test', iterations=0, variant='bf16', level=0.01, seeds=(0,))
    partly = group()
    partly['measures']['hd95_px']['images'] = 9
    partly['per_subject'][8] |= {'dice': [0.0, None, 0.0], 'mean': None}
    groups = [partly, group(protocol=LOSO, shared=False, level=0.5), withheld, few, bare, unseen]
    comparisons = [
        comparison('leakage', 'row 10 (hrf-own-1000i): patients in the training minus patients left out', 0.11, (0.04, 0.2)),
        comparison('conclusions, hrf-own-1000i', 'Dice as the loss is no better than cross entropy', -0.03, (-0.08, 0.02), 0.4),
        comparison('conclusions, hrf-own-1000i', 'Transfer beats training from scratch', 0.3, (0.2, 0.41), 0.0002),
        comparison('conclusions, hrf-own-1000i', 'Three patients', 0.01, None, None, note='missing: subject04'),
        comparison('against row 10, paper', 'Undefined on both sides', None, None, None),
    ]
    return {'estimates': {'groups': groups, 'comparisons': comparisons, 'not_used': [['r', 'overrides lr']]}}


@pytest.fixture
def runs_of(make_record, tmp_path, own):
    """Make the runs behind a group, with a picture of the image `pictured` beside each record."""

    def make(of, pictured=None, **changes):
        runs = []
        whole = [f'subject{number:02d}' for number in range(1, 11)] if of['protocol'] == LOSO else [of['protocol']]
        for split, seed in product((fold for fold in whole if fold not in of['missing']), of['seeds']):
            rng = random.Random(f'{split} {seed}')
            history = [
                {'iteration': 10 * step, 'loss': None if step == 7 else 0.4 / step + 0.01 * rng.random(), 'lr': 0.01}
                for step in range(1, 41)
            ]
            first = int(split[-2:]) if split.startswith('subject') else 1
            counts = {'tp': 80, 'fp': 20, 'fn': 20, 'tn': 65416}
            images = [dict(name=f's{first:02d}_z0', subject=first, height=256, width=256, extra={}, **counts)]
            init = None if of['init'] == 'scratch' else own(iterations=1000)
            record = make_record(
                kind=of['kind'], config=of['config'], split=split, seed=seed, history=history, images=images,
                metrics=pooled_metrics(images), init=init, variant=of['variant'], iterations=of['iterations'], **changes,
            )  # fmt: skip
            path = tmp_path / published_path(record)
            path.parent.mkdir(parents=True, exist_ok=True)
            if pictured:
                Image.new('L', (64, 48)).save(path.with_name(f'{path.stem}.{pictured}.png'))
            runs.append(to_run(path, record))
        of['records'] = sorted(run.label for run in runs)
        return runs

    return make


@pytest.fixture
def everything(runs_of):
    results = made_up()
    groups = results['estimates']['groups']
    versions = {'train': {'torch': '2.13.0'}, 'test': {'numpy': '2.4.6'}}
    return results, [run for of in groups for run in runs_of(of, 's01_z0', versions=versions[of['kind']])]


_PAGES = []


@pytest.fixture
def page(everything):
    """The page of everything, drawn once."""
    if not _PAGES:
        _PAGES.append(Page(render_page(*everything)))
    return _PAGES[0]


def test_the_page_is_whole_html_with_its_sections_in_order(page):
    assert page.source.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert {'name': 'viewport', 'content': 'width=device-width, initial-scale=1'} in page.all('meta')
    wanted = ['scores', 'protocols', 'patients', 'curves', 'areas', 'differences']
    wanted += ['measures', 'gallery', 'published', 'reading', 'commands', 'versions']
    assert [section['id'] for section in page.all('section')] == wanted
    assert [link['href'] for link in page.all('a')] == ['#main', *(f'#{name}' for name in wanted), '../metrics.md']
    assert all(cell.get('scope') in ('col', 'row') for cell in page.all('th'))
    assert page.source.count('<svg') == page.source.count('</svg>') == len(page.svgs()) == 4 + 1 + 4 + 3


def test_nothing_is_loaded_from_elsewhere(page):
    assert [link['href'] for link in page.all('link')] == ['data:,']
    assert page.all('script') == page.all('iframe') == []
    assert page.all('img') and all(image['src'].startswith('data:image/png;base64,') for image in page.all('img'))
    assert all(image['alt'] and int(image['width']) == 64 and int(image['height']) == 48 for image in page.all('img'))
    assert '@import' not in page.source
    assert all(target.startswith('#') for target in re.findall(r'url\(([^)]*)\)', page.source))
    # Names of XML vocabularies are addresses that nobody fetches.
    loaded = re.sub(r'xmlns(:\w+)?="[^"]*"', '', page.source)
    assert 'http:' not in loaded and 'https:' not in loaded and '//' not in re.sub(r'base64,[^"]*', '', loaded)


def test_names_are_unique_and_every_reference_is_answered(page):
    names = Counter(attributes['id'] for _, attributes in page.elements if 'id' in attributes)
    assert max(names.values()) == 1
    wanted = set(re.findall(r'(?:href="|url\()#([\w-]+)', page.source))
    wanted |= {attributes['aria-labelledby'] for _, attributes in page.elements if 'aria-labelledby' in attributes}
    assert wanted <= set(names) and any(name.startswith('subjects-0-') for name in wanted)


def test_drawings_take_their_colours_from_the_page_and_say_what_they_show(page):
    for drawing in page.svgs():
        assert drawing.get('role') == 'img' and len(drawing.get('aria-label')) > 20
        assert not {'width', 'height'} & set(drawing.attrib)
    drawings = ''.join(re.findall(r'<svg.*?</svg>', page.source, re.DOTALL))
    assert re.search(r'#[0-9a-fA-F]{6}', drawings) is None and '<style' not in drawings and 'font-family' not in drawings
    assert set(re.findall(r'var\((--[\w-]+)\)', drawings)) == {
        '--grid', '--paper', '--series-1', '--series-2', '--series-3', '--series-4'
    }  # fmt: skip
    assert 'currentColor' in drawings
    assert page.source.count('<figcaption>') == page.source.count('<figure') == page.source.count('</figure>')


def test_every_group_is_there_and_a_withheld_one_names_its_folds(page):
    groups = made_up()['estimates']['groups']
    for name in {of['config'].removeprefix('configs/').removesuffix('.py') for of in groups}:
        assert name in page.text
    # Once in the headline table and once in each part of the second one.
    assert page.text.count('withheld; no complete run of subject04, subject07 (seed 1)') == 1 + 4
    assert 'Not shown: 1 with settings of their own.' in page.text
    row = page.source.split('<tbody>')[1].split('</tr>')[0]
    assert '>60.00</span>' in row and page.text.count('22, 15 with fluid') == len(groups)
    headline = page.source.split('</table>')[0]
    assert headline.count('class="interval"') == 3 * 5  # two groups have no intervals, one is withheld


def test_every_measure_is_shown_and_explained(page):
    for measure in MEASURES.values():
        assert f'<dt>{measure.title}</dt>' in page.source
        titled = measure.title + (f', {measure.unit}' if measure.unit else '')
        assert f'<th scope="col">{titled}</th>' in page.source


def test_areas_are_in_mm2_only_where_the_scale_is_known(page):
    labels = [''.join(drawing.itertext()) for drawing in page.svgs()]
    assert sum('predicted minus true, mm²' in label for label in labels) == 4
    bias = made_up()['estimates']['groups'][0]['measures']['area_bias_px']['value']
    assert f'{bias:.1f}' in page.text and f'{bias * 0.0002549:.4f} mm², nominal' in page.text
    assert page.text.count('Solid line: bias, -0.029 mm². Dashed: 95 % limits of agreement, -0.229 to +0.172 mm².') == 4


def test_areas_are_in_pixels_without_a_scale(runs_of):
    only = group(pixel_mm2=None)
    shown = Page(render_page({'estimates': {'groups': [only], 'comparisons': [], 'not_used': []}}, runs_of(only)))
    assert 'predicted minus true, px' in shown.source and 'bias, -112 px' in shown.text
    assert 'limits of agreement, -900 to +675 px' in shown.text
    assert '>fluid, px<' in shown.source and '>fluid, mm²<' not in shown.source


def test_undefined_values_are_a_dash_and_no_slip_of_the_code(page):
    assert page.text.count(' 9 images') == 1
    drawn = [''.join(drawing.itertext()) for drawing in page.svgs()[:4]]
    assert 'undefined for 1 of 3 seeds' in drawn[0] and all('undefined' in found and 'unknown' in found for found in drawn)
    assert page.source.count('<span class="value">-</span>') == 5 + len(MEASURES) + 1
    readable = page.text + ' '.join(str(value) for _, attributes in page.elements for value in attributes.values())
    readable = re.sub(r'base64,\S*', '', readable)
    assert not re.search(r'\b(nan|None|inf|NaN)\b', readable)
    assert not re.search(r'[ "]-?nan\b', page.source)


def test_differences_are_drawn_by_family_with_their_tests(page):
    texts = [[''.join(item.itertext()) for item in drawing.iter('{http://www.w3.org/2000/svg}text')] for drawing in page.svgs()]
    texts = [found for found in texts if 'difference, percentage points' in found]
    assert [sum(part in ('undefined', 'no test') for part in found) for found in texts] == [0, 1, 2]
    assert 'p = 0.400' in texts[1] and 'Holm p = 0.800' in texts[1] and 'p < 0.001' in texts[1]
    assert 'missing: subject04' in page.text and '+30.00 [+20.00, +41.00]' in page.text


def test_what_records_say_is_escaped(runs_of):
    evil = '<script>alert(1)</script>"&'
    bad = group(f'configs/{evil}.py', evil, evil, missing=[evil], variant=evil)
    shown = group(devices={evil: 1})
    runs = runs_of(shown, device=evil)
    compared = comparison(evil, evil + ' $x_1$ ' * 40, note=evil, arm=evil, reference=evil)
    found = Page(render_page({'estimates': {'groups': [shown, bad], 'comparisons': [compared], 'not_used': []}}, runs))
    assert found.all('script') == [] and evil in found.text
    assert any('$x_1$' in ''.join(drawing.itertext()) for drawing in found.svgs())


def test_the_same_content_gives_the_same_bytes(everything, page):
    import matplotlib

    results, runs = everything
    with matplotlib.rc_context({'font.size': 20, 'svg.fonttype': 'path', 'lines.linewidth': 7}):
        assert render_page(results, runs[::-1]) == page.source


def test_without_any_run_there_is_still_a_page():
    empty = Page(render_page({'estimates': {'groups': [], 'comparisons': [], 'not_used': []}}, []))
    assert empty.text.count('No run is recorded.') == 4 and empty.svgs() == [] and 'python tools/report.py' in empty.text


def test_groups_whose_runs_are_not_given_keep_their_scores():
    bare = Page(render_page(made_up(), []))
    assert 'No run of these groups has a training history.' in bare.text and bare.all('img') == []
    assert 'withheld; no complete run of' in bare.text
