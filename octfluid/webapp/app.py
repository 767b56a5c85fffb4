"""What happens when a visitor uses the page."""

import re
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from octfluid.inference.predictor import Predictor, Settings
from octfluid.io.results import write_png
from octfluid.utils.cli import reason_of
from octfluid.utils.errors import InputError, OctfluidError
from octfluid.webapp import layout, session
from octfluid.webapp.session import Limits, Viewed
from octfluid.webapp.shelf import Shelf, Visitor

SECONDS_KEPT = 1800  # a scan that nobody looks at any more, and a file that nobody fetches
_SECONDS_BETWEEN_STEPS = 0.3
_MARKUP = re.compile(r'[!-/:-@\[-`{-~]')  # ASCII punctuation, any of which Markdown takes as it is after a backslash
_GONE = 'This scan is not kept here any more; outline it again.'


def _visitor(request: gr.Request) -> Visitor:
    return request.username, str(request.session_hash)


def _status(viewed: Viewed) -> str:
    warnings = ''.join(f'\n- ⚠ {_plain(warning)}' for warning in viewed.warnings)
    return f'**{_plain(viewed.name)}: {session.summary(viewed)}**{warnings}'


def _plain(text: str) -> str:
    """Return text as Markdown that shows it as it is: what a file is called must not become a link or a picture."""
    return _MARKUP.sub(r'\\\g<0>', ' '.join(text.split()))


def _hidden() -> Any:
    return gr.update(value=None, visible=False)


class Page:
    """What the page does, for any number of visitors.

    Args:
        predictor: Outlines.
        shelf: Keeps what is outlined.
        limits: Of the work on one scan.
    """

    def __init__(self, predictor: Predictor, shelf: Shelf, limits: Limits) -> None:
        self.predictor, self.shelf, self.limits = predictor, shelf, limits
        self._busy = threading.Lock()

    def stop(self, seconds: float = 10) -> None:
        """Wait until the model does nothing, and let nobody use it again: a process that ends meanwhile would crash."""
        self._busy.acquire(timeout=seconds)

    def outline(
        self, file: str | None, spacing: str, side: str, threshold: float, opacity: float, request: gr.Request
    ) -> Generator[tuple, None, None]:
        """Outline a file; yields the outputs of the button. An earlier scan is gone at once."""
        visitor = _visitor(request)
        self.shelf.drop(visitor)
        nothing = (False, None, gr.update(interactive=False), _hidden(), [], gr.update(interactive=False), _hidden())
        if not file:
            yield ('Choose a file first, or try the example.', '', *nothing)
            return
        yield ('Reading the file ...', '', *nothing)
        try:
            settings = Settings(spacing=session.parse_spacing(spacing), threshold=threshold, laterality=layout.SIDES.get(side))
            begun = shown = time.monotonic()
            # Closed with this generator, which Gradio closes when a visitor cancels or leaves: the model stops then.
            with closing(session.outline(self.predictor, Path(file), settings, self.limits)) as steps:
                while True:
                    try:
                        with self._busy:
                            done, number = next(steps)
                    except StopIteration as end:
                        viewed = end.value
                        break
                    now = time.monotonic()
                    if now - shown > _SECONDS_BETWEEN_STEPS:
                        shown = now
                        left = (now - begun) * (number - done) / done
                        yield ('Outlining ...', layout.progress_bar(done, number, left), *nothing)
            self.shelf.put(visitor, viewed)
            seen = self._shown(visitor, viewed, len(viewed.scan.frames) // 2, opacity)
            yield (_status(viewed), '', True, *seen, gr.update(interactive=True), _hidden())
        except (OctfluidError, ModuleNotFoundError, OSError, MemoryError) as error:
            # The name that Gradio keeps a file under is nobody's business.
            said = reason_of(Path(file), error).replace(str(file), Path(file).name)
            yield (f'**Not done.** {_plain(said)}', '', *nothing)

    def redraw(self, outlined: bool, place: int, opacity: float, request: gr.Request) -> tuple:
        """Return what to say, and the picture of another B-scan, or with other colours."""
        visitor = _visitor(request)
        viewed = self.shelf.get(visitor)
        if viewed is None:
            return _GONE if outlined else gr.skip(), gr.skip()
        return gr.skip(), self._picture(visitor, viewed, place, opacity)

    def rethreshold(self, outlined: bool, threshold: float, place: int, opacity: float, request: gr.Request) -> tuple:
        """Return status, what is seen, and what can be had at another threshold."""
        visitor = _visitor(request)
        viewed = self.shelf.get(visitor)
        if viewed is None:
            return _GONE if outlined else gr.skip(), *(gr.skip(),) * 5
        found = session.at_threshold(self.predictor, viewed, threshold)
        if not self.shelf.replace(visitor, viewed, found):  # another scan has taken its place
            return (*(gr.skip(),) * 6,)
        return _status(found), *self._shown(visitor, found, place, opacity), _hidden()

    def go_to(self, request: gr.Request, clicked: gr.SelectData) -> Any:
        """Return the B-scan where a visitor clicked on the map."""
        viewed = self.shelf.get(_visitor(request))
        place = None if viewed is None else session.bscan_at(viewed, int(clicked.index[1]))
        return gr.skip() if place is None else place

    def pack(self, request: gr.Request) -> tuple[str | Any, Any]:
        """Return what to say, and the ZIP with all results."""
        visitor = _visitor(request)
        viewed = self.shelf.get(visitor)
        path = None if viewed is None else self.shelf.new_file(visitor, f'octfluid_{viewed.name}.zip')
        if path is None:
            return _GONE, _hidden()
        path.write_bytes(session.download(self.predictor, viewed))
        return gr.skip(), gr.update(value=str(path), visible=True)

    def leave(self, request: gr.Request) -> None:
        """Note that a visitor has left."""
        self.shelf.leave(_visitor(request))

    def _drawn(self, visitor: Visitor, name: str, picture: Any, passing: bool = False) -> str | None:
        # Not left to Gradio, which names a file by its content: two visitors with one scan would write and read one file.
        path = None if picture is None else self.shelf.new_file(visitor, name, passing)
        if path is None:
            return None
        write_png(path, picture)
        return str(path)

    def _picture(self, visitor: Visitor, viewed: Viewed, place: int, opacity: float) -> str | None:
        place = min(max(int(place), 0), len(viewed.scan.frames) - 1)
        return self._drawn(visitor, f'{viewed.name}_z{place:03d}.png', session.picture(viewed, place, opacity), passing=True)

    def _shown(self, visitor: Visitor, viewed: Viewed, place: int, opacity: float) -> tuple[Any, ...]:
        """Return what is seen of a scan: picture, slider of B-scans, map, table."""
        number = len(viewed.scan.frames)
        place = min(max(int(place), 0), number - 1)
        mapped = self._drawn(visitor, f'{viewed.name}_enface.png', session.enface(viewed))
        return (
            self._picture(visitor, viewed, place, opacity),
            gr.update(maximum=max(number - 1, 1), value=place, interactive=number > 1, label=f'B-scan (0 to {number - 1})'),
            gr.update(value=mapped, visible=mapped is not None),
            session.table(viewed),
        )


def build_page(acts: Page, folder: Path) -> gr.Blocks:
    """Build the page; ``folder`` is Gradio's own, for what visitors fetch, and whoever made it deletes it."""
    with gr.Blocks(title='octfluid: fluid in retinal OCT', analytics_enabled=False, delete_cache=(600, SECONDS_KEPT)) as page:
        gr.Markdown(layout.introduction(acts.predictor))
        with gr.Row(elem_id='main'):
            with gr.Column(scale=1, min_width=280):
                asked = layout.what_is_asked()
            with gr.Column(scale=2, min_width=320):
                seen = layout.what_is_seen(acts.predictor.model.info.threshold)
        asked.file.async_move_resource_to_block_cache = _only_uploads(asked.file)
        _connect(acts, folder, asked, seen)
        page.unload(acts.leave)
    return page


def _only_uploads(file: gr.File) -> Any:
    """Return how a file gets to the page: Gradio would also fetch it from an address that somebody sends."""
    take = file.async_move_resource_to_block_cache

    async def take_upload(path: str | Path | None) -> str | None:
        if path is not None and '://' in str(path):
            raise InputError('a file has to be uploaded; none is fetched from an address')
        return await take(path)

    return take_upload


def _connect(acts: Page, folder: Path, asked: SimpleNamespace, seen: SimpleNamespace) -> None:
    """Say what happens when a visitor uses what was laid out."""
    inputs = [asked.file, asked.spacing, asked.side, seen.threshold, seen.opacity]
    outlined = gr.State(False)
    outputs = [asked.status, asked.progress, outlined, *seen.shown, asked.save, asked.archive]
    # One at a time, since a scan uses all cores; whoever waits sees how many are before.
    model = dict(concurrency_id='model', concurrency_limit=1, show_progress_on=asked.progress)
    work = asked.start.click(acts.outline, inputs, outputs, **model)
    example = asked.example.click(lambda: str(session.example_file(folder)), None, asked.file)
    worked = example.then(acts.outline, inputs, outputs, **model)
    # Said by the browser, so that it does not wait behind others.
    asked.cancel.click(None, None, [asked.status, asked.progress], js="() => ['Cancelled.', '']", cancels=[work, worked])
    quick = dict(show_progress='hidden', trigger_mode='always_last')  # by pointer and keyboard alike, only the last of many
    for slider in (seen.place, seen.opacity):
        slider.change(acts.redraw, [outlined, seen.place, seen.opacity], [asked.status, seen.picture], **quick)
    changed = [asked.status, *seen.shown, asked.archive]
    seen.threshold.change(acts.rethreshold, [outlined, seen.threshold, seen.place, seen.opacity], changed, **quick)
    seen.mapped.select(acts.go_to, None, seen.place, **quick)
    asked.save.click(acts.pack, None, [asked.status, asked.archive])
