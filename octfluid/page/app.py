"""The page itself: Gradio's components, and what happens when a visitor uses them."""

import re
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from octfluid.errors import OctfluidError
from octfluid.inference.predictor import Predictor, Settings
from octfluid.io.readers import SUFFIXES
from octfluid.page import session
from octfluid.page.session import Viewed
from octfluid.tooling import missing_package

SIDES = {'as the file says': None, 'right (OD)': 'OD', 'left (OS)': 'OS'}
_SECONDS_KEPT = 1800  # a scan that nobody looks at any more
_SECONDS_BETWEEN_WORDS = 0.3
_PACKED = 'octfluid-page-'
_MARKUP = re.compile(r'[!-/:-@\[-`{-~]')  # ASCII punctuation, any of which Markdown takes as it is after a backslash
_BUTTONS = ['download', 'fullscreen']  # no sharing: that would send the scan away
_FONTS = ['system-ui', 'Segoe UI', 'Roboto', 'Arial', 'sans-serif']  # nothing is fetched from anywhere
CSS = """
.gradio-container {max-width: 1200px !important; margin: auto}
#picture img {width: 100%; object-fit: contain}
#status {min-height: 3.2em}
gradio-app, .gradio-container, .gradio-container .main, .gradio-container main, .gradio-container .wrap, #main
{min-width: 0 !important; max-width: min(1200px, 100vw); box-sizing: border-box}
@media (max-width: 760px) {#main {flex-direction: column !important} #main > * {min-width: 0 !important; width: 100%}}
"""


def theme() -> gr.themes.Base:
    """Return the looks of the page, with the fonts of the visitor's own system."""
    return gr.themes.Default(font=_FONTS, font_mono=['ui-monospace', 'Consolas', 'monospace'])


def _introduction(predictor: Predictor) -> str:
    info = predictor.model.info
    return (
        '# Fluid in retinal OCT\n'
        '**For research only; not a medical device.** Outlines and measures fluid in a B-scan or a volume. Scans go nowhere '
        f'but to the computer that serves this page. Model: {predictor.model.path.name}, made for '
        f'{info.domain.get("device", "unknown")}; on scans of other devices it finds far less. Look at the outlines before you '
        'believe a number.'
    )


def _status(viewed: Viewed) -> str:
    warnings = ''.join(f'\n- ⚠ {_plain(warning)}' for warning in viewed.prediction.warnings)
    return f'**{_plain(viewed.name)}: {session.summary(viewed)}**{warnings}'


def _plain(text: str) -> str:
    """Return text as Markdown that shows it as it is: what a file is called must not become a link or a picture."""
    return _MARKUP.sub(r'\\\g<0>', ' '.join(text.split()))


def _shown(viewed: Viewed, place: int, opacity: float) -> tuple[Any, ...]:
    """Return what is seen of a scan: picture, slider of B-scans, map, table."""
    number = len(viewed.scan.frames)
    place = min(int(place), number - 1)
    mapped = session.enface(viewed)
    return (
        session.picture(viewed, place, opacity),
        gr.update(maximum=max(number - 1, 1), value=place, interactive=number > 1, label=f'B-scan (0 to {number - 1})'),
        gr.update(value=mapped, visible=mapped is not None),
        session.table(viewed),
    )


def _outline(
    predictor: Predictor, file: str | None, spacing: str, side: str, threshold: float, opacity: float
) -> Generator[tuple, None, None]:
    """Outline a file; yields the outputs of the button. What was there of an earlier scan is gone from the beginning."""
    nothing = (None, None, gr.update(interactive=False), gr.update(value=None, visible=False), [], gr.update(interactive=False))
    nothing = (*nothing, gr.update(value=None, visible=False))
    if not file:
        yield ('Choose a file first, or try the example.', *nothing)
        return
    yield ('Working ...', *nothing)
    try:
        settings = Settings(spacing=session.parse_spacing(spacing), threshold=threshold, laterality=SIDES[side])
        steps = session.outline(predictor, Path(file), settings)
        said = 0.0
        while True:
            try:
                done, number = next(steps)
            except StopIteration as end:
                viewed = end.value
                break
            if time.monotonic() - said > _SECONDS_BETWEEN_WORDS:
                said = time.monotonic()
                yield (f'Working: B-scan {done} of {number} ...', *nothing)
        shown = _shown(viewed, len(viewed.scan.frames) // 2, opacity)
        yield (_status(viewed), viewed, *shown, gr.update(interactive=True), gr.update(value=None, visible=False))
    except OctfluidError as error:
        # The name that Gradio keeps a file under is nobody's business.
        yield (f'**Not done.** {_plain(str(error).replace(str(file), Path(file).name))}', *nothing)
    except ModuleNotFoundError as error:
        yield (f'**Not done.** {missing_package(error) or error}', *nothing)


def _forget_old(folder: Path) -> None:
    """Delete results that were packed long ago; Gradio has copies of its own, and deletes these."""
    for packed in folder.glob(f'{_PACKED}*'):
        if time.time() - packed.stat().st_mtime > _SECONDS_KEPT:
            shutil.rmtree(packed, ignore_errors=True)


def build_page(model: Path | None, folder: Path) -> gr.Blocks:
    """Build the page.

    Args:
        model: An exported model; None for the one of the package.
        folder: For the example and for packed results; whoever made it deletes it.

    Raises:
        InputError: The model is missing, damaged or none of ours.
    """
    predictor = Predictor(model)
    with gr.Blocks(title='octfluid: fluid in retinal OCT', analytics_enabled=False, delete_cache=(600, _SECONDS_KEPT)) as page:
        gr.Markdown(_introduction(predictor))
        with gr.Row(elem_id='main'):
            with gr.Column(scale=1, min_width=280):
                asked = _what_is_asked()
            with gr.Column(scale=2, min_width=320):
                seen = _what_is_seen(predictor.model.info.threshold)
        _connect(predictor, folder, asked, seen)
    return page


def _what_is_asked() -> SimpleNamespace:
    """Lay out what a visitor gives and starts, and what is said of it."""
    file = gr.File(label='Scan or volume', file_count='single', type='filepath', elem_id='file')
    gr.Markdown(f'Reads {", ".join(suffix for suffix in SUFFIXES if suffix != ".xml")}.')
    spacing = gr.Textbox(
        label='Scale in mm: pixel height, pixel width, distance of B-scans',
        placeholder='as the file says; else nothing is in mm',
        elem_id='spacing',
    )
    side = gr.Dropdown(list(SIDES), value=next(iter(SIDES)), label='Eye')
    with gr.Row():
        start = gr.Button('Outline fluid', variant='primary', elem_id='start')
        cancel = gr.Button('Cancel', elem_id='cancel')
    return SimpleNamespace(
        file=file,
        spacing=spacing,
        side=side,
        start=start,
        cancel=cancel,
        example=gr.Button('Try the example (a phantom)', elem_id='example'),
        status=gr.Markdown('', elem_id='status'),
        save=gr.Button('Prepare all results as ZIP', interactive=False, elem_id='save'),
        archive=gr.File(label='Results', visible=False, interactive=False, elem_id='archive'),
    )


def _what_is_seen(threshold: float) -> SimpleNamespace:
    """Lay out what a visitor sees of a scan, and how; ``threshold`` is the model's own."""
    picture = gr.Image(label='B-scan', elem_id='picture', interactive=False, format='png', buttons=_BUTTONS)
    place = gr.Slider(0, 1, value=0, step=1, label='B-scan', interactive=False, elem_id='place')
    with gr.Row():
        opacity = gr.Slider(0, 1, value=0.7, step=0.05, label='Opacity of the outlines', elem_id='opacity')
        limit = gr.Slider(0.05, 0.95, value=threshold, step=0.05, label='Threshold', elem_id='threshold')
    mapped = gr.Image(
        label='Fluid from above', visible=False, interactive=False, format='png', elem_id='enface', buttons=_BUTTONS
    )
    measured = gr.Dataframe(headers=list(session.TABLE_COLUMNS), interactive=False, elem_id='measured', max_height=320)
    viewed = gr.State(None, time_to_live=_SECONDS_KEPT)
    return SimpleNamespace(
        viewed=viewed, threshold=limit, opacity=opacity, place=place, picture=picture, shown=[picture, place, mapped, measured]
    )


def _connect(predictor: Predictor, folder: Path, asked: SimpleNamespace, seen: SimpleNamespace) -> None:
    """Say what happens when a visitor uses what was laid out."""

    def outline(*arguments: Any) -> Generator[tuple, None, None]:
        yield from _outline(predictor, *arguments)

    def redraw(viewed: Viewed | None, at: int, strength: float) -> Any:
        return gr.skip() if viewed is None else session.picture(viewed, min(int(at), len(viewed.scan.frames) - 1), strength)

    def rethreshold(viewed: Viewed | None, value: float, at: int, strength: float) -> tuple:
        if viewed is None:
            return (gr.skip(),) * 7
        found = session.at_threshold(predictor, viewed, value)
        return _status(found), found, *_shown(found, at, strength), gr.update(value=None, visible=False)

    def pack(viewed: Viewed | None) -> Any:
        if viewed is None:
            return gr.skip()
        _forget_old(folder)
        path = Path(tempfile.mkdtemp(prefix=_PACKED, dir=folder)) / f'octfluid_{viewed.name}.zip'
        path.write_bytes(session.download(predictor, viewed))
        return gr.update(value=str(path), visible=True)

    inputs = [asked.file, asked.spacing, asked.side, seen.threshold, seen.opacity]
    outputs = [asked.status, seen.viewed, *seen.shown, asked.save, asked.archive]
    model = dict(concurrency_id='model', concurrency_limit=1)
    work = asked.start.click(outline, inputs, outputs, **model)
    example = asked.example.click(lambda: str(session.example_file(folder)), None, asked.file)
    worked = example.then(outline, inputs, outputs, **model)
    asked.cancel.click(lambda: 'Cancelled.', None, asked.status, cancels=[work, worked])
    quick = dict(show_progress='hidden', trigger_mode='always_last')  # by pointer and keyboard alike, only the last of many
    for slider in (seen.place, seen.opacity):
        slider.change(redraw, [seen.viewed, seen.place, seen.opacity], seen.picture, **quick)
    changed = [asked.status, seen.viewed, *seen.shown, asked.archive]
    seen.threshold.change(rethreshold, [seen.viewed, seen.threshold, seen.place, seen.opacity], changed, **quick)
    asked.save.click(pack, seen.viewed, asked.archive)
