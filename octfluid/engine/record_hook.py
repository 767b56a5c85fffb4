"""The hook that writes a run record from what any mmengine Runner has after validation or test."""

import hashlib
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.runner.checkpoint import weights_to_cpu
from mmseg.registry import HOOKS

from octfluid.datasets.config_data import dataset_type, split_of
from octfluid.engine.checkpoint import Origin, describe_weights, fetch, last_checkpoint, origin_of
from octfluid.engine.hooks import EnsembleHook, bare_model, is_training
from octfluid.engine.performance import PerformanceHook, precision_of
from octfluid.metrics.confusion import pooled_metrics
from octfluid.metrics.fluid_metric import FluidMetric
from octfluid.records import fingerprint
from octfluid.records import record as records
from octfluid.records.schema import FIELDS
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError
from octfluid.utils.machine import device_name, peak_memory, uses_tf32, versions
from octfluid.visualization.gallery import choose, write_pictures

HISTORY_INTERVAL = 10


def scored_files(dataset: Any) -> dict[str, tuple[Path, Path]]:
    """Return image and mask file by name of every scan of a built data set."""
    infos = map(dataset.get_data_info, range(len(dataset)))
    paths = [(info.get('name'), Path(info['img_path']), Path(info['seg_map_path'])) for info in infos]
    return {name or image.stem: (image, mask) for name, image, mask in paths}


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Write one JSON record for each training and each test into the work folder, and a few overlays next to it.

    A training's record is written when the training ends, after a last validation, and says how many iterations had run. The
    scores are those of `FluidMetric`, alone or in a list of metrics; without it there is no record, and the log says so.

    Args:
        variant: What is special about a test, such as ``'tta'``; becomes part of the record's name.
    """

    priority = 'LOW'

    def __init__(self, variant: str = '') -> None:
        self.variant = variant
        self.init: dict[str, Any] | None = None  # as in the record
        self.run: dict[str, Any] = {}  # what the loaded checkpoint holds of its own training
        self.origin = Origin()
        self.earlier = 0.0  # seconds spent by processes that this one resumes
        self.start = time.perf_counter()
        self.validated: dict[int, float | None] = {}  # mIoU by iteration
        self.path: Path | None = None

    def before_run(self, runner: Any) -> None:
        """Name weights that the config loads into the backbone or the whole model when it is built."""
        if not is_training(runner):
            return
        cfg, model = runner.cfg.model, bare_model(runner)
        whole, backbone = (_pretrained((part or {}).get('init_cfg')) for part in (cfg, cfg.get('backbone')))
        if name := cfg.get('pretrained') or backbone or whole:
            part = model if name == whole else model.backbone
            self.init = _describe(name, len(part.state_dict()), len(model.state_dict()))

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Describe the initial weights; refuse (InputError) to resume a run with other settings or data."""
        self.run = checkpoint.get('run') or {}
        self.origin = origin_of(str(runner._load_from), checkpoint)
        total = len(bare_model(runner).state_dict())
        if runner._resume:
            self._require_same_run(runner)
        if self.run and (runner._resume or not is_training(runner)):
            self.init = self.run['init']
            self.earlier = self.run['wall_seconds'] if runner._resume else 0.0
            self.validated = dict(self.run.get('validated', {})) if runner._resume else {}
        else:
            self.init = _describe(str(runner._load_from), len(checkpoint['state_dict']), total)

    def _require_same_run(self, runner: Any) -> None:
        begun, now = self.run.get('settings', {}), self._identity(runner)
        if differing := [key for key, value in now.items() if begun.get(key, value) != value]:
            raise InputError(
                f'{runner.work_dir}: its checkpoint was trained with other settings ({", ".join(differing)}); resume a run as '
                'it was begun, or choose another --work-dir'
            )

    def _identity(self, runner: Any) -> dict[str, Any]:
        return dict(
            config=fingerprint.resume_sha256(runner.cfg),
            split=split_of(runner.cfg),
            seed=runner.seed,
            precision=precision_of(runner.cfg),
            deterministic=runner.deterministic,
            processes=runner.world_size,
            data=records.split_sha256(scored_files(runner.train_dataloader.dataset)),
        )

    def before_train(self, runner: Any) -> None:
        """Start the clock and say what the training starts from."""
        self.start = time.perf_counter()
        self.identity = self._identity(runner)
        init, parameters = self.init, sum(parameter.numel() for parameter in bare_model(runner).parameters())
        weights = 'random' if init is None else '{loaded} of {total} tensors from {name} ({source})'.format(**init)
        at = f'iteration {runner.iter} of a run begun from ' if runner.iter else ''
        runner.logger.info(
            f'{runner.cfg.model.type}, {parameters / 1e6:.2f} M parameters; weights: {at}{weights}; split '
            f'{self.identity["split"]}, seed {runner.seed}, {self.identity["precision"]}, {device_name()}'
        )

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Store initial weights, time spent and what a resume must not change, as plain values; move an average to the CPU."""
        for key in {'state_dict', 'ema_state_dict'} & set(checkpoint):
            checkpoint[key] = weights_to_cpu(checkpoint[key])
        checkpoint['run'] = dict(
            init=self.init,
            wall_seconds=self.earlier + time.perf_counter() - self.start,
            settings=self.identity,
            dataset=dataset_type(runner.cfg.train_dataloader),
            overrides=json.dumps(self._overrides(runner), default=str),
            validated=self.validated,  # a validation at this very iteration comes later
        )

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Remember the score."""
        if is_training(runner):
            metric = _fluid_metric(runner.val_loop)
            self.validated[runner.iter] = metric and metric.scores.get('mIoU')  # other processes have no scores

    def after_train(self, runner: Any) -> None:
        """Score weights that no validation has scored, and write the record; without scans to score, one without images."""
        loop = None if runner._val_loop is None else runner.val_loop
        if loop is not None and runner.iter not in self.validated:
            loop.run()
        self._write(runner, loop, self._training(runner))

    def _training(self, runner: Any) -> dict[str, Any]:
        seconds, _ = runner.message_hub.get_scalar('train/time').data
        batch = runner.train_dataloader.batch_size * runner.world_size
        return dict(
            kind='train',
            iterations=runner.iter,
            seed=runner.seed,
            checkpoint_sha256=self._checkpoint_sha256(runner),
            wall_seconds=round(self.earlier + time.perf_counter() - self.start, 3),
            images_per_second=round(len(seconds) * batch / seconds.sum(), 3),
            history=_history(runner, self.validated),
            precision=precision_of(runner.cfg),
            variant='+'.join(filter(None, (f'{runner.world_size}processes' * (runner.world_size > 1), self.variant))),
            split=self.identity['split'],
            overrides=self._overrides(runner),
        )

    def _checkpoint_sha256(self, runner: Any) -> str:
        last = last_checkpoint(runner.work_dir)
        if last is not None and last.is_file() and last.stem.endswith(f'_{runner.iter}'):
            return file_sha256(last)
        digest = hashlib.sha256()  # no checkpoint of these weights is kept
        for name, tensor in sorted(bare_model(runner).state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _overrides(self, runner: Any) -> dict[str, Any]:
        path = runner.cfg.filename
        if not path or not Path(path).is_file():
            return {}
        return fingerprint.overrides_of(runner.cfg, Config.fromfile(path, import_custom_modules=False))

    def before_test(self, runner: Any) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the record of the test."""
        if is_training(runner) or runner._load_from is None:  # of what this Runner has trained, or of random weights
            settings = self._identity(runner) if is_training(runner) else {}
            dataset = dataset_type(runner.cfg.train_dataloader)
            self.origin = Origin(settings.get('split'), dataset, runner.iter, runner.seed, self._overrides(runner))
        trained, split = self.origin.split, split_of(runner.cfg, tested=True)
        same_data = self.origin.dataset == dataset_type(runner.cfg.test_dataloader)
        seen = f'trained-on-{trained}' if same_data and trained and (trained != split or trained == 'all') else ''
        if seen:
            runner.logger.warning(f"trained on split '{trained}': scans of split '{split}' may have been in its training")
        scoring = next((hook.scoring for hook in runner.hooks if isinstance(hook, PerformanceHook)), None) or 'fp32'
        seconds, number = time.perf_counter() - self.start, len(runner.test_dataloader.dataset)
        measured = dict(
            kind='test',
            iterations=self.origin.iterations or 0,
            seed=self.origin.seed or 0,
            checkpoint_sha256=self._tested_sha256(runner),
            wall_seconds=round(seconds, 3),
            images_per_second=round(number / seconds, 3),
            history=[],
            precision=scoring,
            variant='+'.join(filter(None, (seen, self.variant, '' if scoring == 'fp32' else scoring))),
            split=split,
            overrides={**self.origin.overrides, **self._overrides(runner)},
        )
        self._write(runner, runner.test_loop, measured)

    def _tested_sha256(self, runner: Any) -> str:
        """Return the digest of the tested checkpoint; of an ensemble, that of its members' digests, one a line, sorted."""
        if is_training(runner) or runner._load_from is None:
            return self._checkpoint_sha256(runner)
        members = [one for hook in runner.hooks if isinstance(hook, EnsembleHook) for one in hook.checkpoints]
        digests = sorted(file_sha256(fetch(str(path))) for path in (runner._load_from, *members))
        return digests[0] if len(digests) == 1 else hashlib.sha256('\n'.join(digests).encode()).hexdigest()

    def _write(self, runner: Any, loop: Any, measured: dict[str, Any]) -> None:
        metric = _fluid_metric(loop) if loop else None
        if loop is not None and metric is None:
            runner.logger.warning('no FluidMetric among the evaluators: this run leaves no record')
            return
        if not is_main_process():
            return
        images, files = [], {}
        if loop is None:
            metrics = pooled_metrics([], tuple(runner.train_dataloader.dataset.metainfo['classes']))
        else:
            images, metrics, files = metric.images, metric.scores, scored_files(loop.dataloader.dataset)
        found = dict(
            measured,
            schema=records.SCHEMA,
            precision='tf32' if measured['precision'] == 'fp32' and uses_tf32() else measured['precision'],
            config=fingerprint.config_name(runner.cfg.filename),
            config_sha256=fingerprint.config_sha256(runner.cfg),
            git=records.git_state(fingerprint.ROOT),
            source_sha256=records.source_sha256(fingerprint.ROOT),
            deterministic=runner.deterministic,
            split_sha256=records.split_sha256(files),
            init=self.init,
            device=device_name(),
            versions=versions(),
            peak_memory_bytes=peak_memory(),
            metrics={key: None if value is None or math.isnan(value) else value for key, value in metrics.items()},
            images=images,
        )
        record = {key: found[key] for key in FIELDS}
        path = Path(runner.work_dir) / records.record_filename(record)
        records.write_record(record, path)
        self.path = path
        if loop is not None:
            self._write_pictures(runner, metric, files)
        runner.logger.info(f'record: {path}')

    def _write_pictures(self, runner: Any, metric: FluidMetric, files: dict[str, tuple[Path, Path]]) -> None:
        try:
            chosen = set(choose(metric.images).values()) if metric.masks else ()
            shown = {row['name']: metric.mask(row) for row in metric.images if row['name'] in chosen}
            write_pictures(self.path, shown, files, metric.ignore_index)
        except OSError as error:
            runner.logger.warning(f'{self.path.name} is written, but not all of the pictures for it: {error}')


def _describe(name: str, loaded: int, total: int) -> dict[str, Any]:
    try:
        return describe_weights(name, loaded, total)
    except OSError:  # a scheme such as torchvision://, which has no file
        digest = hashlib.sha256(name.encode()).hexdigest()
        return dict(source='other', name=name, sha256=digest, loaded=loaded, total=total)


def _pretrained(init_cfg: Any) -> str | None:
    """Return the checkpoint that one of a module's ``init_cfg`` loads."""
    entries = init_cfg if isinstance(init_cfg, list | tuple) else [init_cfg or {}]
    return next((entry.get('checkpoint') for entry in entries if entry.get('type') == 'Pretrained'), None)


def _fluid_metric(loop: Any) -> FluidMetric | None:
    return next((one for one in loop.evaluator.metrics if isinstance(one, FluidMetric)), None)


def _history(runner: Any, validated: dict[int, float | None]) -> list[dict]:
    # Losses are means over all processes; those from before a resume are of the first process only.
    losses, rates = (runner.message_hub.get_scalar(f'train/{name}').data[0] for name in ('loss', 'lr'))
    losses = torch.as_tensor(losses, dtype=torch.float64)
    all_reduce(losses, 'mean')
    points = [
        dict(iteration=end, loss=float(losses[max(0, end - HISTORY_INTERVAL) : end].mean()), lr=float(rates[end - 1]))
        for end in sorted({*range(HISTORY_INTERVAL, len(losses) + 1, HISTORY_INTERVAL), *validated, len(losses)})
    ]
    return [point | ({'mIoU': validated[end]} if (end := point['iteration']) in validated else {}) for point in points]
