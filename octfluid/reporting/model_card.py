"""The card of an exported model: what it is, for whom, how good, and what not to use it for, from what its file says."""

from octfluid.inference.model import ModelInfo
from octfluid.reporting.pages import templates

MEASURES = {'dice': 'fluid Dice %', 'mdice': 'mDice %', 'miou': 'mIoU %', 'image_dice': 'fluid Dice, mean of images %'}


def describe_training(split: str | None, config: str, iterations: int | None, seed: int | None, patients: str = '') -> str:
    """Return what a model's weights come from, for its card, in words; None or '' is what the weights do not say."""
    scans = {None: 'unknown scans', 'all': 'all scans of the data set (split `all`)'}
    parts = [scans.get(split, f'the training scans of split `{split}`'), *filter(None, [patients]), f'with `{config}`']
    parts += [] if iterations is None else [f'{iterations} iterations']
    parts += [] if seed is None else [f'seed {seed}']
    return ', '.join(parts)


def render_card(info: ModelInfo, name: str, trained_on: str, precision: str | None = None) -> str:
    """Return the card as Markdown.

    Args:
        info: What the model's file says.
        name: File name of the model.
        trained_on: What its weights were trained on, from `describe_training`.
        precision: Of its numbers, in words, and what that costs; None for float32.
    """
    card = templates().get_template('card.md.j2')
    return card.render(info=info, name=name, trained_on=trained_on, precision=precision, measures=MEASURES)
