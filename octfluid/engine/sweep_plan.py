"""The runs of a sweep: what each config comes to, where each run works, and by what its record is known."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from octfluid.datasets.splits import PROTOCOLS, expand_protocols
from octfluid.records.record import file_sha256
from octfluid.utils.errors import InputError


@dataclass(frozen=True)
class Resolved:
    """What a config comes to under a split and initial weights.

    Attributes:
        config_sha256: Digest of what decides the result.
        split: Name of the split.
        weights: File or URL of the initial weights, None for training from scratch.
        data_root: Folder of the data set.
    """

    config_sha256: str
    split: str
    weights: str | None
    data_root: Path


@dataclass(frozen=True)
class PlannedRun:
    """One training of a sweep.

    Attributes:
        config: Config file.
        seed: Random seed.
        split: Name of the split.
        init: Label of the initial weights: their file's stem, or ``scratch``.
        identity: What a record must agree with to be of this run: config_sha256, split, seed, and ``init`` (None, or the
            name of a URL, or the sha256 of a file).
        amp: Whether it trains in mixed precision.
        data_root: Folder of the data set.
        work_dir: Folder of the sweep.
        arguments: What the training command is given after the config, but for ``--work-dir`` and ``--resume``.
    """

    config: Path
    seed: int
    split: str
    init: str
    identity: dict[str, Any]
    amp: bool
    data_root: Path
    work_dir: Path
    arguments: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Work folder of the run."""
        return self.work_dir / self.config.stem / self.name

    @property
    def name(self) -> str:
        """The run's name among those of its config."""
        return f'{self.split}_{self.init}_seed{self.seed}'

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.folder / 'train.log'

    def command(self, train: Sequence[str], resume: bool) -> list[str]:
        """Return the command line of the run, where ``train`` is the training command."""
        return [*train, str(self.config), '--work-dir', str(self.folder), *(['--resume'] if resume else []), *self.arguments]


def resolve_config(config: Path, split: str | None, init: str | None, options: Sequence[str]) -> Resolved:
    """Resolve a config as ``tools/train.py`` will.

    Raises:
        InputError: The config cannot be used, its data set has no such split, or one whose sides overlap (see
            `octfluid.datasets.integrity.refuse_overlap`), or its initial weights are missing or no weights.
    """
    from octfluid.datasets.integrity import refuse_overlap
    from octfluid.engine.checkpoint import find_initial_weights
    from octfluid.engine.config import load_config, parse_options
    from octfluid.records.fingerprint import config_sha256

    cfg = load_config(config, parse_options(options), split=split, init=init)
    refuse_overlap(cfg.data_root, cfg.split)
    weights = find_initial_weights(cfg.init.files) if cfg.get('init') else None
    if weights and '://' not in weights:
        _require_weights(weights)
    return Resolved(config_sha256(cfg), cfg.split, weights, Path(cfg.data_root))


def expand_splits(config: Path, names: Sequence[str], options: Sequence[str]) -> list[str]:
    """Replace names of protocols, such as ``leave-one-subject-out``, by the splits of the config's data set.

    Raises:
        InputError: The config cannot be used, or its data set has no such splits.
    """
    from octfluid.engine.config import load_config, parse_options

    if not set(names) & set(PROTOCOLS):
        return list(names)
    return expand_protocols(load_config(config, parse_options(options)).data_root, names)


@cache
def _require_weights(path: str) -> None:
    """Read a file of initial weights once, lest every run of the sweep fails for its sake."""
    from octfluid.engine.checkpoint import read_checkpoint

    read_checkpoint(path)


def _refuse_repeated(what: str, values: Sequence[Any]) -> None:
    repeated = [str(value) for value, number in Counter(values).items() if number > 1]
    if repeated:
        raise InputError(f'{what} given more than once: {", ".join(repeated)}; expected each once')


@cache
def _init_identity(weights: str | None) -> dict[str, str] | None:
    if weights is None:
        return None
    return {'name': weights} if '://' in weights else {'sha256': file_sha256(weights)}


def plan_runs(
    configs: Sequence[Path],
    seeds: Sequence[int],
    work_dir: Path,
    *,
    splits: Sequence[str] | None = None,
    init: str | None = None,
    amp: bool = False,
    options: Sequence[str] = (),
    resolve: Callable[[Path, str | None, str | None, Sequence[str]], Resolved] = resolve_config,
) -> list[PlannedRun]:
    """List the runs of a sweep: configs in the order given, then splits, then seeds.

    Args:
        configs: Config files; their stems name the work folders and must differ.
        seeds: Random seeds >= 0.
        work_dir: Folder of the sweep.
        splits: Names of splits and protocols (see `octfluid.datasets.splits.expand_protocols`); None for each config's own.
        init: File or URL of initial weights, ``'none'`` for training from scratch, None for each config's own.
        amp: Train in mixed precision.
        options: ``KEY=VALUE`` overrides.
        resolve: Finds out what a config comes to.

    Raises:
        InputError: A repeated or negative seed, a repeated split or config name, or a config that cannot be used.
    """
    _refuse_repeated('seeds', seeds)
    _refuse_repeated('config names', [Path(config).stem for config in configs])
    if negative := [seed for seed in seeds if seed < 0]:
        raise InputError(f'seed {negative[0]}: expected a number >= 0')
    runs = []
    for config in map(Path, configs):
        names = expand_splits(config, splits or (), options)
        _refuse_repeated('splits', names)
        for asked in names or (None,):
            resolved = resolve(config, asked, init, options)
            weights = _init_identity(resolved.weights)
            stem = Path(resolved.weights).stem if resolved.weights else 'scratch'
            label = re.sub(r'[^A-Za-z0-9_.+-]+', '-', stem)
            folders = resolved.data_root, Path(work_dir)
            common = [*(['--split', asked] if asked else []), *(['--init', init] if init else []), *(['--amp'] if amp else [])]
            common += ['--cfg-options', *options] if options else []
            for seed in seeds:
                identity = {'config_sha256': resolved.config_sha256, 'split': resolved.split, 'init': weights, 'seed': seed}
                arguments = ('--seed', str(seed), *common)
                runs.append(PlannedRun(config, seed, resolved.split, label, identity, amp, *folders, arguments))
    return runs
