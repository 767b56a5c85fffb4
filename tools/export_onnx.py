#!/usr/bin/env python
"""Export a checkpoint as one ONNX file that takes raw scans."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from octfluid.utils.cli import ToolParser, exit_status_of, positive_number


def parse_args() -> Namespace:
    """Parse the command line."""
    parser = ToolParser(
        'Export a checkpoint as one ONNX file that takes raw scans of any size, compare it with the network on the scans of '
        'the data set, and write a card.',
        'python tools/export_onnx.py configs/duke_dme/compact.py work_dirs/compact/iter_900.pth --out compact.onnx',
    )
    parser.add_argument('config', metavar='CONFIG', help='the config that the checkpoint was trained with')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='a .pth file of tensors')
    parser.add_argument('--out', required=True, metavar='FILE.onnx', help='file to write; its card gets the suffix .md')
    parser.add_argument(
        '--records', nargs='+', type=Path, metavar='RECORD_OR_DIR', help='run records whose scores the file and card shall give'
    )
    parser.add_argument('--half', action='store_true', help='store in 16 bits what loses nothing by it: half the size')
    parser.add_argument('--check', type=positive_number, metavar='N', help='compare on N scans, evenly spread (default: all)')
    parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings')
    args = parser.parse_args()
    if Path(args.out).suffix != '.onnx':
        parser.error(f'--out {args.out}: expected a name that ends in .onnx')
    return args


def trained_patients(cfg: Any, split: str | None) -> str:
    """Return which patients of the data set, by their numbers in ``index.csv``, the scans that a split trains on are of."""
    from octfluid.datasets.config_data import dataset_spec
    from octfluid.datasets.splits import load_index, read_split, split_names

    root = dataset_spec(cfg).root
    index = load_index(root)
    if split not in split_names(root):
        return ''
    seen = sorted({index[name].subject for name in read_split(root, split, 'train')})
    return f'patients {", ".join(map(str, seen))} of the {len({row.subject for row in index.values()})} in index.csv'


def main() -> None:
    """Run the tool."""
    args = parse_args()
    import octfluid.register  # noqa: F401  registers what configs name
    from octfluid.datasets.config_data import dataset_type
    from octfluid.engine.checkpoint import origin_of, read_checkpoint
    from octfluid.engine.config import load_config, parse_options
    from octfluid.engine.export import export, require_same_training
    from octfluid.inference.model import ScanModel
    from octfluid.records.fingerprint import config_name
    from octfluid.records.record import read_records, to_run
    from octfluid.reporting.model_card import describe_training, render_card, scores_of
    from octfluid.utils.atomic import require_file_names, require_folder, write_text
    from octfluid.utils.errors import InputError

    out = Path(args.out)
    require_folder(out.parent, '--out')
    card = out.with_suffix('.md')
    require_file_names([out, card])
    if card.is_file() and 'written by tools/export_onnx.py' not in card.read_text(encoding='utf-8', errors='replace'):
        raise InputError(f'{card}: is not a card of this tool and stands where the card would go; choose another --out')
    cfg = load_config(args.config, parse_options(args.cfg_options))
    records = read_records(args.records) if args.records else []
    if args.records and not records:
        raise InputError(f'--records {args.records[0]}: no run record there; expected those of networks of this config')
    origin = origin_of(args.checkpoint, read_checkpoint(args.checkpoint))
    require_same_training(cfg, records, origin)
    scores = scores_of([to_run(path, record) for path, record in records]) if records else []
    about = dataset_type(cfg.get('train_dataloader') or cfg.get('test_dataloader'))
    if origin.dataset not in (None, about):
        raise InputError(
            f'{args.checkpoint}: trained on {origin.dataset}, but {args.config} is about {about}; export it with the config '
            'that it was trained with'
        )
    agreement = export(cfg, args.checkpoint, out, scores=scores, half=args.half, check=args.check)
    info = ScanModel(out).info
    patients = trained_patients(cfg, origin.split) if agreement.real and origin.dataset else ''
    trained_on = describe_training(origin.split, config_name(args.config), origin.iterations, origin.seed, patients)
    write_text(card, render_card(info, out.name, trained_on))
    what = 'scans' if agreement.real else 'images of noise (the data set is not here)'
    print(
        f'{agreement.scans} {what} compared with the network: probabilities differ by at most {agreement.difference:.1e}, '
        f'masks in {agreement.pixels:.4%} of the pixels'
    )
    print(f'model: {out} ({out.stat().st_size / 1e6:.1f} MB), card: {card}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
