#!/usr/bin/env python
"""Print the run record of a test that was made before, if there is one. Used by reproduce_table1.sh."""

import sys
from pathlib import Path

from octfluid.records.record import file_sha256, read_records, result_changing_overrides
from octfluid.utils.cli import ToolParser, exit_status_of


def main() -> None:
    """Print the first record in the folder of the same weights, settings and scans, of the asked precision or a higher one."""
    parser = ToolParser(
        'Print the path of the run record of a test of this checkpoint, with config and data as they are now, or nothing.',
        'python scripts/find_test_record.py work_dirs/table1/fcn configs/table1/fcn.py weights.safetensors --split all',
    )
    parser.add_argument('folder', type=Path, help='where to look; need not exist')
    parser.add_argument('config', type=Path, help='config file; the record has its name and the digest of its settings')
    parser.add_argument('checkpoint', type=Path, help='file of weights')
    parser.add_argument('--split', required=True, help='split that was scored')
    parser.add_argument('--amp', action='store_true', help='also one that was scored in mixed precision')
    args = parser.parse_args()
    if not args.folder.is_dir():
        return
    digest = file_sha256(args.checkpoint)
    near = []
    for path, record in read_records([args.folder]):
        what = (record['kind'], Path(record['config']).name, record['split'], record['checkpoint_sha256'])
        same = what == ('test', args.config.name, args.split, digest) and not result_changing_overrides(record['overrides'])
        if same and (args.amp or record['precision'] == 'fp32'):
            near.append((path, record))
    if not near:
        return
    # Late, for mmseg takes seconds to import.
    from octfluid.engine.scored import fingerprints_of_test

    from octfluid.engine.config import load_config

    now = fingerprints_of_test(load_config(args.config, split=args.split))
    for path, record in near:
        if (record['config_sha256'], record['split_sha256']) == now:
            print(path)
            return


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
