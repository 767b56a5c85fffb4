#!/usr/bin/env python
"""Publish the weights of a checkpoint: tensors only, named by their digest, with a card that says what they are."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> int | None:
    """Parse the arguments, publish, and say where the files are."""
    parser = ToolParser(
        'Write the weights of a checkpoint as safetensors, without optimizer, and a JSON card beside them.',
        'python tools/publish_checkpoint.py work_dirs/hrf/pspnet/iter_1000.pth --out checkpoints/hrf --half \\\n'
        '      --record work_dirs/hrf/pspnet/train_usual_scratch_1000i_seed0.json',
    )
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='a .pth or .safetensors file of tensors')
    parser.add_argument('--out', metavar='DIR', required=True, help='folder for the two files')
    parser.add_argument('--config', metavar='CONFIG', help="the config that made the weights (default: the record's)")
    parser.add_argument('--record', metavar='RECORD', help='run record of this checkpoint, for the scores on the card')
    parser.add_argument('--name', metavar='NAME', help="begin of the file names (default: the config's network and data)")
    parser.add_argument('--half', action='store_true', help='store weights in 16 bits: half the size')
    parser.add_argument('--replace', action='store_true', help='move published weights of this network to superseded/')
    args = parser.parse_args()

    from octfluid.engine.publish import publish

    published = publish(
        args.checkpoint,
        args.out,
        config=args.config,
        record=args.record,
        name=args.name,
        half=args.half,
        replace=args.replace,
    )
    for path in published.moved:
        print(f'moved: {path}')
    print(f'weights: {published.weights} ({published.weights.stat().st_size / 1e6:.1f} MB)')
    print(f'card: {published.card}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
