"""What is on the page, and what happens when somebody uses it; Gradio keeps each user's scan in its session."""

import re
import tempfile
import threading
import time
import zipfile
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.outputs import Results
from octfluid.inference.predictor import Prediction, Predictor, Settings, Spacing
from octfluid.io.readers import SUFFIXES, read_scans, stem_of_file
from octfluid.io.results import write_png
from octfluid.utils.cli import reason_of
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError, OctfluidError
from octfluid.visualization.enface import draw_enface, row_to_bscan
from octfluid.visualization.overlay import colour_fluid, enlarged_scan, enlargement

SIDES = {'as the file says': None, 'right (OD)': 'OD', 'left (OS)': 'OS'}
TABLE_COLUMNS = ('B-scan', 'fluid, px', 'fluid, mm²', 'pockets', 'largest pocket, px', 'mean probability')
THEME = gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace'])  # fonts of the browser's computer
CSS = '#picture img {width: 100%; object-fit: contain} #enface img {cursor: pointer} #status {min-height: 3.2em}'
_BUTTONS = ['download', 'fullscreen']  # no sharing: that would send the scan away
_SECONDS_KEPT = 1800  # files for the browser
_MARKUP = re.compile(r'[!-/:-@\[-`{-~]')


@dataclass(frozen=True)
class Viewed:
    """A scan that has been outlined: its file, the file's SHA-256, what the user chose, and what was found."""

    path: Path
    sha256: str
    settings: Settings
    prediction: Prediction


def parse_spacing(text: str | None) -> Spacing | None:
    """Read the field Scale: ``axial, lateral[, slice]`` in mm; empty is None. Raise InputError for anything else."""
    if not text or not text.strip():
        return None
    try:
        return Spacing(*map(float, text.replace(';', ',').split(',')))
    except (ValueError, TypeError, InputError) as error:
        reason = f'scale "{text.strip()[:40]}": expected height, width[, distance] in mm, such as 0.004, 0.011'
        raise InputError(reason) from error


def _example_file() -> str:
    path = Path(tempfile.mkdtemp()) / 'example.png'
    write_png(path, make_phantom(3, 496, 768, fluid=True)[0])
    return str(path)


def _plain(text: str) -> str:
    """Return Markdown that shows a text as it is: a file's name must not become a link or a picture."""
    return _MARKUP.sub(r'\\\g<0>', ' '.join(text.split()))


def _status(viewed: Viewed) -> str:
    warnings = [warning.replace('(--spacing)', 'in the field Scale') for warning in viewed.prediction.warnings]
    summary = _plain(f'{viewed.path.name}: {viewed.prediction.summary()}')
    return f'**{summary}**' + ''.join(f'\n- ⚠ {_plain(warning)}' for warning in warnings)


def _picture(viewed: Viewed, place: int, opacity: float) -> np.ndarray:
    """Return the B-scan at a place from 0 with its fluid in colour of an opacity in [0, 1]: RGB, uint8, enlarged."""
    frame = viewed.prediction.frames[place]
    scale = enlargement(frame.gray.shape)
    plain = enlarged_scan(frame.gray, scale).astype(np.float32)
    return np.rint(plain + opacity * (colour_fluid(frame.gray, frame.mask, None, scale) - plain)).astype(np.uint8)


def _table(prediction: Prediction) -> list[list[Any]]:
    rows = []
    for found in prediction.scans:
        area = '' if found.fluid_mm2 is None else f'{found.fluid_mm2:.4f}'
        probability = '' if found.mean_probability is None else f'{found.mean_probability:.2f}'
        rows.append([found.index, found.fluid_px, area, found.pockets, found.largest_pocket_px, probability])
    return rows


def _shown(viewed: Viewed, place: int, opacity: float) -> tuple[Any, ...]:
    found, number = viewed.prediction, len(viewed.prediction.frames)
    mapped = draw_enface(found.thickness_px, found.spacing, found.bottom_up) if found.scan.is_volume else None
    return (
        _picture(viewed, place, opacity),
        gr.update(maximum=max(number - 1, 1), value=place, interactive=number > 1, label=f'B-scan (0 to {number - 1})'),
        gr.update(value=mapped, visible=mapped is not None),
        _table(found),
    )


class Page:
    """What the page does with a predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._busy = threading.Lock()

    def stop(self) -> None:
        """Wait until the model is idle and block it: ONNX Runtime crashes if the process ends while it works."""
        self._busy.acquire(timeout=10)

    def outline(self, file: str | None, spacing: str, side: str, threshold: float, opacity: float) -> Generator[tuple]:
        """Outline the first scan of a file; yields status, scan, picture, slider, map, table, button and file of the ZIP."""
        hidden, disabled = gr.update(value=None, visible=False), gr.update(interactive=False)
        nothing = (None, None, disabled, hidden, [], disabled, hidden)
        if not file:
            yield ('Choose a file first, or try the example.', *nothing)
            return
        yield ('Reading the file ...', *nothing)
        path, frames, begun = Path(file), [], time.monotonic()
        try:
            settings = Settings(spacing=parse_spacing(spacing), threshold=threshold, laterality=SIDES.get(side))
            scan, *more = read_scans(path)
            if more:
                only = f'the file holds {1 + len(more)} scans, and this is the first; tools/predict.py does all of them'
                scan = replace(scan, notes=(*scan.notes, only))
            steps, number = self.predictor.outline(scan, settings, probability=True), len(scan.frames)
            while len(frames) < number:
                with self._busy:
                    frames.append(next(steps))
                left = (time.monotonic() - begun) * (number - len(frames)) / len(frames)
                yield (f'Outlining: B-scan {len(frames)} of {number}, about {left:.0f} s left', *nothing)
            viewed = Viewed(path, file_sha256(path), settings, self.predictor.conclude(scan, settings, frames))
            yield (_status(viewed), viewed, *_shown(viewed, number // 2, opacity), gr.update(interactive=True), hidden)
        except (OctfluidError, ModuleNotFoundError, OSError, MemoryError) as error:
            reason = reason_of(path, error).replace(file, path.name)
            yield (f'**Not done.** {_plain(reason)}', *nothing)

    def redraw(self, viewed: Viewed | None, place: int, opacity: float) -> Any:
        """Return the picture of another B-scan, or with another opacity."""
        if viewed is None:
            return gr.skip()
        return _picture(viewed, min(int(place), len(viewed.prediction.frames) - 1), opacity)

    def rethreshold(self, viewed: Viewed | None, threshold: float, place: int, opacity: float) -> tuple:
        """Return status, scan, picture, slider, map, table and the file of the ZIP at another threshold."""
        if viewed is None:
            return (gr.skip(),) * 7
        settings, found = replace(viewed.settings, threshold=threshold), viewed.prediction
        frames = [frame.at_threshold(threshold, found.spacing) for frame in found.frames]
        viewed = replace(viewed, settings=settings, prediction=self.predictor.conclude(found.scan, settings, frames))
        shown = _shown(viewed, min(int(place), len(frames) - 1), opacity)
        return _status(viewed), viewed, *shown, gr.update(value=None, visible=False)

    def go_to(self, viewed: Viewed | None, clicked: gr.SelectData) -> Any:
        """Return the B-scan at the clicked place of the map."""
        if viewed is None:
            return gr.skip()
        found = viewed.prediction
        place = row_to_bscan(int(clicked.index[1]), found.thickness_px.shape, found.spacing, found.bottom_up)
        return gr.skip() if place is None else place

    def pack(self, viewed: Viewed | None) -> Generator[Any, None, None]:
        """Yield a ZIP with the files that ``tools/predict.py`` writes for the scan."""
        if viewed is None:
            yield gr.skip()
            return
        with tempfile.TemporaryDirectory() as folder:
            out, packed = Path(folder, 'out'), Path(folder, f'octfluid_{viewed.path.stem}.zip')
            given = {key: value for key, value in asdict(viewed.settings).items() if value is not None}
            results = Results(out, self.predictor, given)
            entry = results.add_input(stem_of_file(viewed.path), viewed.path)
            entry['sha256'] = viewed.sha256
            results.write(entry, viewed.prediction)
            results.finish()
            with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(path for path in out.rglob('*') if path.is_file()):
                    archive.write(path, path.relative_to(out).as_posix())
            yield gr.update(value=str(packed), visible=True)  # Gradio copies it


def _lay_out(predictor: Predictor) -> SimpleNamespace:
    info = predictor.model.info
    gr.Markdown(
        '# Fluid in retinal OCT\n'
        '**For research only; not a medical device.** Outlines and measures fluid in a B-scan or a volume. Scans go only to '
        f'the computer that serves this page. Model: {predictor.model.path.name}, made for '
        f'{info.domain.get("device", "unknown")}; on scans of other devices it finds far less. Look at the outlines before you '
        'believe a number.'
    )
    own = SimpleNamespace(viewed=gr.State(None))
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            own.file = gr.File(label='Scan or volume', type='filepath', elem_id='file')
            gr.Markdown(f'Reads {", ".join(suffix for suffix in SUFFIXES if suffix != ".xml")}.')
            own.spacing = gr.Textbox(
                label='Scale in mm: pixel height, pixel width, distance of B-scans',
                placeholder='as the file says; else nothing is in mm',
                elem_id='spacing',
            )
            own.side = gr.Dropdown(list(SIDES), value=next(iter(SIDES)), label='Eye')
            with gr.Row():
                own.start = gr.Button('Outline fluid', variant='primary', elem_id='start')
                own.cancel = gr.Button('Cancel', elem_id='cancel')
            own.example = gr.Button('Try the example (a phantom)', elem_id='example')
            own.status = gr.Markdown('', elem_id='status')
            own.save = gr.Button('Prepare all results as ZIP', interactive=False, elem_id='save')
            own.archive = gr.File(label='Results', visible=False, interactive=False, elem_id='archive')
        with gr.Column(scale=2, min_width=320):
            still = dict(interactive=False, format='png', buttons=_BUTTONS)
            own.picture = gr.Image(label='B-scan', elem_id='picture', **still)
            own.place = gr.Slider(0, 1, value=0, step=1, label='B-scan', interactive=False, elem_id='place')
            with gr.Row():
                own.opacity = gr.Slider(0, 1, value=0.7, step=0.05, label='Opacity of the outlines', elem_id='opacity')
                own.threshold = gr.Slider(0.05, 0.95, value=info.threshold, step=0.05, label='Threshold', elem_id='threshold')
            own.mapped = gr.Image(label='Fluid from above: click for the B-scan', visible=False, elem_id='enface', **still)
            own.measured = gr.Dataframe(headers=list(TABLE_COLUMNS), interactive=False, elem_id='measured', max_height=320)
    return own


def build_page(predictor: Predictor) -> tuple[gr.Blocks, Page]:
    """Build the page, and return it with the object that does its work."""
    handlers = Page(predictor)
    with gr.Blocks(title='octfluid: fluid in retinal OCT', analytics_enabled=False, delete_cache=(60, _SECONDS_KEPT)) as page:
        own = _lay_out(predictor)
        inputs = [own.file, own.spacing, own.side, own.threshold, own.opacity]
        shown = [own.picture, own.place, own.mapped, own.measured]
        outputs = [own.status, own.viewed, *shown, own.save, own.archive]
        # One scan at a time: it uses all cores.
        model = dict(concurrency_id='model', concurrency_limit=1, show_progress='minimal', show_progress_on=own.status)
        work = own.start.click(handlers.outline, inputs, outputs, **model)
        worked = own.example.click(_example_file, None, own.file).then(handlers.outline, inputs, outputs, **model)
        own.cancel.click(None, None, own.status, js="() => 'Cancelled.'", cancels=[work, worked])
        quick = dict(show_progress='hidden', trigger_mode='always_last')
        for slider in (own.place, own.opacity):
            slider.change(handlers.redraw, [own.viewed, own.place, own.opacity], own.picture, **quick)
        changed = [own.status, own.viewed, *shown, own.archive]
        own.threshold.change(handlers.rethreshold, [own.viewed, own.threshold, own.place, own.opacity], changed, **quick)
        own.mapped.select(handlers.go_to, own.viewed, own.place, **quick)
        own.save.click(handlers.pack, own.viewed, own.archive)
    return page, handlers
