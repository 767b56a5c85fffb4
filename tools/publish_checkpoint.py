#!/usr/bin/env python
"""Publish the weights of a checkpoint: tensors only, named after their digest, with a card."""

import sys

from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> int | None:
    """Parse the arguments, publish, and say where the files are."""
    parser = ToolParser(
        'Write the weights of a checkpoint, without optimizer, as a .pth file named after its SHA-256, and a JSON card.',
        'python tools/publish_checkpoint.py work_dirs/hrf/pspnet_1000i/iter_1000.pth --out checkpoints/hrf --half \\\n'
        '      --record work_dirs/hrf/pspnet_1000i/train_usual_scratch_1000i_seed0.json',
    )
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='a .pth file of tensors')
    parser.add_argument('--out', metavar='DIR', required=True, help='folder for the two files')
    parser.add_argument('--config', metavar='CONFIG', help="the config that made the weights (default: the record's)")
    parser.add_argument('--record', metavar='RECORD', help='run record of this checkpoint, for the scores on the card')
    parser.add_argument('--name', metavar='NAME', help='file name before the digest (default: network, crop, length and data)')
    parser.add_argument('--half', action='store_true', help='store weights in 16 bits: half the size')
    parser.add_argument('--allow-short', action='store_true', help='publish vessel weights of fewer than 500 iterations')
    args = parser.parse_args()

    import octfluid.register  # noqa: F401  registers what configs name
    from octfluid.engine.publish import publish

    options = dict(config=args.config, record=args.record, name=args.name, half=args.half, allow_short=args.allow_short)
    weights = publish(args.checkpoint, args.out, **options)
    print(f'weights: {weights} ({weights.stat().st_size / 1e6:.1f} MB)')
    print(f'card: {weights.with_suffix(".json")}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
