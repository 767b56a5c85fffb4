from octfluid.reporting.markdown import WRITTEN_BY, table, without_markup
from octfluid.reporting.report import README_BEGIN, README_END, write_report


def test_a_cell_stays_in_its_place():
    assert table(['a', 'b'], [['x | y', 'one\ntwo']]) == '| a | b |\n| --- | --- |\n| x \\| y | one two |\n'


def test_names_begin_neither_tags_nor_comments():
    assert without_markup(f'{WRITTEN_BY}\n< 0.001, `<name>`\n') == f'{WRITTEN_BY}\n< 0.001, `<name>`\n'
    assert without_markup('<script>, </p>, <!-- x -->, `<!-- x -->`') == '&lt;script>, &lt;/p>, &lt;!-- x -->, `&lt;!-- x -->`'


def test_no_record_breaks_the_block_of_a_readme(make_run, tmp_path):
    readme = tmp_path / 'README.md'
    readme.write_text(f'{README_BEGIN}\n{README_END}\n')
    run = make_run(f'mine/{README_END}', device=f'a | b {README_END} <script>alert(1)</script>')
    for _ in range(2):
        write_report([run], tmp_path / 'out', readme)
    written = [readme, *(tmp_path / 'out').glob('*.md')]
    assert readme.read_text().count(README_END) == 1 and 'a \\| b' in readme.read_text()
    assert not any('<script' in path.read_text() for path in written)
