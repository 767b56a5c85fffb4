"""What is on the page, and where."""

from types import SimpleNamespace

import gradio as gr

from octfluid.inference.predictor import Predictor
from octfluid.io.readers import SUFFIXES
from octfluid.webapp import session

SIDES = {'as the file says': None, 'right (OD)': 'OD', 'left (OS)': 'OS'}
_BUTTONS = ['download', 'fullscreen']  # no sharing: that would send the scan away
_FONTS = ['system-ui', 'Segoe UI', 'Roboto', 'Arial', 'sans-serif']  # nothing is fetched from anywhere
CSS = """
.gradio-container {max-width: 1200px !important; margin: auto}
#picture img {width: 100%; object-fit: contain}
#enface img {cursor: pointer}
#status {min-height: 3.2em} #progress {min-height: 3.2em}
#progress label {display: block}
#progress progress {appearance: none; width: 100%; height: 0.8em; border: none; background: var(--neutral-200)}
#progress progress::-webkit-progress-bar {background: var(--neutral-200)}
#progress progress::-webkit-progress-value {background: var(--color-accent)}
#progress progress::-moz-progress-bar {background: var(--color-accent)}
gradio-app, .gradio-container, .gradio-container .main, .gradio-container main, .gradio-container .wrap, #main
{min-width: 0 !important; max-width: min(1200px, 100vw); box-sizing: border-box}
@media (max-width: 760px) {#main {flex-direction: column !important} #main > * {min-width: 0 !important; width: 100%}}
"""


def theme() -> gr.themes.Base:
    """Return the looks of the page, with the fonts of the visitor's own system."""
    return gr.themes.Default(font=_FONTS, font_mono=['ui-monospace', 'Consolas', 'monospace'])


def progress_bar(done: int, number: int, seconds: float) -> str:
    """Return HTML that shows how many B-scans are done, and about how many seconds the others take."""
    return (
        f'<label for="octfluid-progress">B-scan {done} of {number}, about {seconds:.0f} s left</label>'
        f'<progress id="octfluid-progress" max="{number}" value="{done}"></progress>'
    )


def introduction(predictor: Predictor) -> str:
    """Return what a visitor has to know first, as Markdown."""
    info = predictor.model.info
    return (
        '# Fluid in retinal OCT\n'
        '**For research only; not a medical device.** Outlines and measures fluid in a B-scan or a volume. Scans go nowhere '
        f'but to the computer that serves this page. Model: {predictor.model.path.name}, made for '
        f'{info.domain.get("device", "unknown")}; on scans of other devices it finds far less. Look at the outlines before you '
        'believe a number.'
    )


def what_is_asked() -> SimpleNamespace:
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
        progress=gr.HTML('', elem_id='progress'),
        save=gr.Button('Prepare all results as ZIP', interactive=False, elem_id='save'),
        archive=gr.File(label='Results', visible=False, interactive=False, elem_id='archive'),
    )


def what_is_seen(threshold: float) -> SimpleNamespace:
    """Lay out what a visitor sees of a scan, and how; ``threshold`` is the model's own."""
    picture = gr.Image(label='B-scan', elem_id='picture', interactive=False, format='png', buttons=_BUTTONS)
    place = gr.Slider(0, 1, value=0, step=1, label='B-scan', interactive=False, elem_id='place')
    with gr.Row():
        opacity = gr.Slider(0, 1, value=0.7, step=0.05, label='Opacity of the outlines', elem_id='opacity')
        limit = gr.Slider(0.05, 0.95, value=threshold, step=0.05, label='Threshold', elem_id='threshold')
    mapped = gr.Image(
        label='Fluid from above: click for the B-scan',
        visible=False,
        interactive=False,
        format='png',
        elem_id='enface',
        buttons=_BUTTONS,
    )
    measured = gr.Dataframe(headers=list(session.TABLE_COLUMNS), interactive=False, elem_id='measured', max_height=320)
    return SimpleNamespace(
        threshold=limit,
        opacity=opacity,
        place=place,
        picture=picture,
        mapped=mapped,
        shown=[picture, place, mapped, measured],
    )
