"""The card of an exported model: what it is, for whom, how good, and what not to use it for, from what its file says."""

from typing import Any

from octfluid.inference.model import ModelInfo

MEASURES = {'dice': 'fluid Dice %', 'mdice': 'mDice %', 'miou': 'mIoU %', 'image_dice': 'fluid Dice, mean of images %'}


def _percent(measure: dict[str, Any]) -> str:
    if measure['value'] is None:
        return '-'
    text = f'{100 * measure["value"]:.2f}'
    if measure['interval']:
        text += ' [{:.2f}, {:.2f}]'.format(*(100 * end for end in measure['interval']))
    return text


def _score_row(score: dict[str, Any]) -> str:
    size = 'x'.join(map(str, score['size'])) if score['size'] else 'several sizes'
    seen = {True: 'yes', False: 'no', None: 'unknown'}[score['patients_seen']]
    cells = [f'`{score["config"]}`', score['protocol'] + (f', {score["variant"]}' if score['variant'] else ''), seen]
    cells += [f'{score["images"]} of {score["subjects"]} patients, {size}', str(score['seeds'])]
    return '| ' + ' | '.join([*cells, *(_percent(score['measures'][name]) for name in MEASURES)]) + ' |'


def describe_training(split: str | None, config: str, iterations: int | None, seed: int | None) -> str:
    """Return what a model's weights come from, as its card says it.

    Args:
        split: Name of the split, or None if the weights do not say.
        config: Path of the config within the repository, or its name.
        iterations: Of the training, or None.
        seed: Of the training, or None.
    """
    scans = {None: 'unknown scans', 'all': 'all scans of the data set (split `all`)'}
    parts = [scans.get(split, f'the training scans of split `{split}`'), f'with `{config}`']
    if iterations is not None:
        parts.append(f'{iterations} iterations')
    if seed is not None:
        parts.append(f'seed {seed}')
    return ', '.join(parts)


def render_card(info: ModelInfo, name: str, trained_on: str, precision: str | None = None) -> str:
    """Return the card as Markdown.

    Args:
        info: What the model's file says.
        name: File name of the model.
        trained_on: What its weights were trained on, from `describe_training`.
        precision: Of its numbers, in words, and what that costs; None for float32.
    """
    lines = [
        f'# {name}', '',
        f'Outlines {info.classes[1]} in retinal OCT B-scans. **For research only; not a medical device.**', '',
        '<!-- written by tools/export_onnx.py from the model and the records of its twins; do not edit -->', '',
        '| | |', '| --- | --- |',
        '| input | `scan`: raw gray values 0..255, float32 (N, 1, H, W), any N, H and W; pre-processing is inside |',
        f'| output | `probability` of {info.classes[1]}, float32 (N, 1, H, W); mask where it exceeds {info.threshold:g} |',
        f'| made for | {info.domain.get("device", "unknown")} |',
        f'| scale | {info.domain.get("scale", "unknown")} |',
        f'| trained on | {trained_on} |',
        f'| terms | {info.licence} |',
        *([f'| precision | {precision} |'] if precision else []),
        f'| weights | SHA-256 {info.weights_sha256} |',
        f'| written by | octfluid {info.version} |', '',
    ]  # fmt: skip
    if info.scores:
        lines += [
            '## How good', '',
            'Scores of networks of the same configuration, each trained on part of the scans and scored on the rest. They are '
            '**not** scores of this very file where it has been trained on all scans: none is left to score it on. In brackets '
            'the 95 % interval over patients and seeds.', '',
            '| config | protocol | scored patients seen in training | scored | seeds | ' + ' | '.join(MEASURES.values()) + ' |',
            '| ' + ' | '.join(['---'] * (5 + len(MEASURES))) + ' |',
            *map(_score_row, info.scores), '',
        ]  # fmt: skip
    lines += [
        '## Limits', '',
        *(f'* {limit}' for limit in info.domain.get('limits', ())),
        '* It finds fluid in whatever it is given: a scan upside down, another organ, a photograph. `tools/predict.py` warns '
        'of many of these, not of all (docs/how-to/predict.md). Look at the outlines.',
        '* An area in mm2 needs the scale of the scan; the file knows none but that of its training.', '',
    ]  # fmt: skip
    return '\n'.join(lines)
