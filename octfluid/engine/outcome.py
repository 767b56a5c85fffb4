"""What a finished training or test leaves behind: its run record, and the few pictures that show it."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.dist import is_main_process

import octfluid
from octfluid.engine.config import dataset_spec
from octfluid.engine.plan import device_name, peak_memory, versions
from octfluid.engine.runner import FluidRunner
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records import record as records
from octfluid.records.fingerprint import config_name, config_sha256
from octfluid.utils.errors import InputError, WorkError
from octfluid.visualization.gallery import write_pictures

if TYPE_CHECKING:  # the metric's module imports mmseg's data sets, which `octfluid.register` must do first
    from octfluid.engine.training import Request
    from octfluid.metrics.fluid_metric import FluidMetric

ROOT = Path(octfluid.__file__).resolve().parents[1]


def write_outcome(cfg: Config, request: 'Request', runner: FluidRunner, loop: Any, measured: Mapping[str, Any]) -> Path:
    """Write a run's record into its work folder, and the gallery pictures beside it, in the main process only.

    Pictures that cannot be written are a warning in the log: the record is what the run was for.

    Args:
        cfg: The run's resolved config.
        request: What the user asked for.
        runner: After the run.
        loop: The runner's loop that scored; None of a training without scores, whose record has no images.
        measured: The record's fields that depend on the kind of run; ``init`` as a dataclass or None.

    Returns:
        The record's path.

    Raises:
        WorkError: The record does not hold together.
        OSError: The record cannot be written.
    """
    items = loop.dataloader.dataset if loop else []
    infos = [items.get_data_info(index) for index in range(len(items))]
    files = {info['name']: (Path(info['img_path']), Path(info['seg_map_path'])) for info in infos}
    metric: FluidMetric | None = loop and loop.evaluator.metrics[0]
    if metric is None:
        runner.state.metrics = pooled_metrics([], tuple(dataset_spec(cfg).classes))
    record = _record(cfg, request, runner, measured, records.split_sha256([(name, *pair) for name, pair in files.items()]))
    record['images'] = metric.images if metric else []
    path = Path(request.work_dir) / records.record_filename(record)
    if is_main_process():
        try:
            records.write_record(record, path)
        except InputError as error:
            raise WorkError(f'the run record does not hold together, nothing was written: {error}') from error
        if metric:
            _show(path, metric, files, runner)
    return path


def _show(path: Path, metric: 'FluidMetric', files: Mapping[str, tuple[Path, Path]], runner: FluidRunner) -> None:
    try:
        write_pictures(path, metric.shown, files, metric.ignore_index)
    except OSError as error:
        runner.logger.warning(f'{path.name} is written, but not all of the pictures beside it: {error}')


def _record(
    cfg: Config, request: 'Request', runner: FluidRunner, measured: Mapping[str, Any], split_sha256: str
) -> dict[str, Any]:
    """Return the record's fields in their order; ``images`` is still to be filled."""
    init = measured['init']
    return dict(
        schema=records.SCHEMA,
        kind=measured['kind'],
        config=config_name(request.config),
        config_sha256=config_sha256(cfg),
        # Where files lie is nobody's business and decides nothing.
        overrides={
            key: value
            for key, value in measured.get('overrides', request.overrides).items()
            if key not in ('data_root', 'work_dir')
        },
        git=records.git_state(ROOT),
        source_sha256=records.source_sha256(ROOT),
        seed=measured['seed'],
        deterministic=runner.deterministic,
        variant=measured['variant'],
        split=cfg.split,
        split_sha256=split_sha256,
        init=init and asdict(init),
        checkpoint_sha256=measured['checkpoint_sha256'],
        iterations=measured['iterations'],
        device=device_name(),
        precision=measured['precision'],
        versions=versions(),
        wall_seconds=measured['wall_seconds'],
        images_per_second=measured['images_per_second'],
        peak_memory_bytes=peak_memory(),
        metrics={key: None if value is None or math.isnan(value) else value for key, value in runner.state.metrics.items()},
        history=measured['history'],
        images=[],
    )
