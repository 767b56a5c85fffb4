#!/usr/bin/env python
"""Print the run record of a test that was made before, if there is one. Used by reproduce_table1.sh."""

import sys
from pathlib import Path

from octfluid.records.record import read_records, split_sha256
from octfluid.utils.cli import ToolParser, exit_status_of
from octfluid.utils.digest import file_sha256


def main() -> None:
    """Print the first record in the folder of the same weights, settings and scans, of the asked precision or a higher one."""
    parser = ToolParser(
        'Print the path of the run record of a test of this checkpoint, with config and data as they are now, or nothing.',
        'python scripts/find_test_record.py work_dirs/table1/fcn configs/table1/fcn.py weights.pth --split all',
    )
    parser.add_argument('folder', type=Path, help='where to look; need not exist')
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument('checkpoint', type=Path, help='file of weights')
    parser.add_argument('--split', required=True, help='split that was scored')
    parser.add_argument('--amp', action='store_true', help='also one that was scored in mixed precision')
    args = parser.parse_args()
    digest = file_sha256(args.checkpoint)
    near = [
        (path, record)
        for path, record in (read_records([args.folder]) if args.folder.is_dir() else ())
        if (record['kind'], record['split'], record['checkpoint_sha256']) == ('test', args.split, digest)
        and (args.amp or record['precision'] == 'fp32')
    ]
    if not near:
        return
    # Late, for mmseg takes seconds to import.
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    import octfluid.register  # noqa: F401  registers what configs name
    from octfluid.engine.config import load_config
    from octfluid.engine.record_hook import scored_files
    from octfluid.records.fingerprint import config_sha256

    cfg = load_config(args.config, split=args.split)
    init_default_scope(cfg.default_scope)
    files = scored_files(DATASETS.build(cfg.test_dataloader.dataset))
    now = config_sha256(cfg), split_sha256(files)
    for path, record in near:
        if (record['config_sha256'], record['split_sha256']) == now:
            print(path)
            return


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
