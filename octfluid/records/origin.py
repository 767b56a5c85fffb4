"""What weights say of their own training: a checkpoint in itself, published weights on the card beside them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from octfluid.datasets.splits import ALL
from octfluid.records.fields import NAME, OBJECT, OPTIONAL_COUNT, TEXT, check_object, check_values, optional
from octfluid.records.fingerprint import training_digests
from octfluid.utils.text import parse_json, read_json

_CARD = {
    'split': optional(NAME),
    'dataset': optional(TEXT),
    'iterations': OPTIONAL_COUNT,
    'seed': OPTIONAL_COUNT,
    'overrides': OBJECT,
}


@dataclass(frozen=True)
class Origin:
    """The training that weights come from; None for what they do not say.

    Attributes:
        split: Name of the split.
        dataset: Type of the data set, such as ``'DukeDMEDataset'``.
        config: Digest of what decided the result but for the number of iterations; published weights do not say it.
        iterations: Of the training.
        seed: Of the training.
        overrides: Config settings that were overridden in the training, by dotted key.
    """

    split: str | None = None
    dataset: str | None = None
    config: str | None = None
    iterations: int | None = None
    seed: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def mark(self, cfg: Config) -> str:
        """Return the split to name beside a score if its scans may have been in the training, else an empty text.

        That is another split than the config's; or the same, if it is `ALL` of the same data set: it scores what it trained on.
        """
        if self.split is None:
            return ''
        seen = self.split == ALL and self.dataset == cfg.train_dataloader.dataset.type
        return self.split if self.split != cfg.split or seen else ''

    def is_of_other_settings(self, cfg: Config) -> bool:
        """Tell whether a training on a config's data set and split had other settings than the config has.

        Args:
            cfg: From `octfluid.engine.config.load_config`, as it is.
        """
        comparable = self.config is not None and self.split == cfg.split and self.dataset == cfg.train_dataloader.dataset.type
        return comparable and self.config not in training_digests(cfg)


def origin_of(checkpoint: str | os.PathLike, stored: Mapping[str, Any], dataset: str | None = None) -> Origin:
    """Read what weights say of their training.

    Args:
        checkpoint: The file.
        stored: Its content, from `octfluid.engine.checkpoint.read_checkpoint`.
        dataset: Believe a card only if it is about this type of data set: vessel weights that are scored on fluid have a
            split of their own, which is none of the fluid's. None believes every card.

    Raises:
        InputError: The card is damaged.
    """
    if 'run' in stored:
        run, meta = stored['run'], stored['meta']
        settings = run['settings']
        said = settings['split'], run['dataset'], settings['config'], meta['iter'], meta['seed']
        return Origin(*said, parse_json(run['overrides'], f'{checkpoint}, its overrides'))
    path = Path(checkpoint).with_suffix('.json')
    if not path.is_file():
        return Origin()
    card = read_json(path)
    if not isinstance(card, dict) or (dataset is not None and card.get('dataset') != dataset):
        return Origin()
    where = f'{path}: not the card of published weights, publish them again'
    check_object(where, '', card, {key: rule for key, rule in _CARD.items() if key in card})
    check_values(where, 'overrides', card.get('overrides'))
    said = card.get('split'), card.get('dataset'), None, card.get('iterations'), card.get('seed')
    return Origin(*said, card.get('overrides', {}))
