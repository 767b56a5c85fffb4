#!/usr/bin/env python
"""Measure speed and memory, and write the measurements as JSON."""

import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from octfluid.tooling import ToolParser, exit_status_of


def parse_args() -> Namespace:
    """Parse and check the command line."""
    parser = ToolParser('Measure speed and memory, and write the measurements as JSON.', 'python tools/benchmark.py data')
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    data = kinds.add_parser(
        'data',
        help='how fast training samples are made',
        description='Compare how fast one loader process makes training samples with window_first and without, by turns.',
        example='python tools/benchmark.py data configs/hrf/pspnet.py --samples 30 --repeats 5',
    )
    data.add_argument(
        'config', nargs='?', default='configs/hrf/pspnet.py', metavar='CONFIG', help='config file (default: %(default)s)'
    )
    data.add_argument('--samples', type=int, default=30, metavar='N', help='samples in a repetition (default: %(default)s)')
    data.add_argument('--repeats', type=int, default=7, metavar='N', help='repetitions (default: %(default)s)')
    data.add_argument(
        '--out', type=Path, default=Path('work_dirs/benchmarks'), metavar='DIR', help='folder (default: %(default)s)'
    )
    data.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='override config settings')
    args = parser.parse_args()
    for name in ('samples', 'repeats'):
        if getattr(args, name) < 1:
            data.error(f'--{name} {getattr(args, name)}: expected 1 or more')
    return args


def with_progress(args: Namespace, cfg: Any) -> dict[str, Any]:
    """Measure under a progress bar with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from octfluid.engine.benchmark import benchmark_data

    columns = (TextColumn('repetitions'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn('left'))
    console = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task('repetitions', total=args.repeats)
        return benchmark_data(cfg, args.samples, args.repeats, lambda done, _: progress.update(task, completed=done))


def print_data(record: Mapping[str, Any]) -> None:
    """Print what a benchmark of the kind ``data`` found."""
    settings, memory, summary = (record[key] for key in ('settings', 'memory', 'summary'))
    print(f'{record["config"]}, {settings["repeats"]} x {settings["samples"]} samples, one thread, {record["device"]}')
    for name in ('stock', 'fast'):
        stages = ', '.join(f'{step} {1000 * seconds:.2f}' for step, seconds in record['timings']['stages'][name].items())
        print(f'{name}: {summary[f"{name}_samples_per_second"]:.1f} samples/s (ms by stage: {stages})')
    print(
        f'ratio: {summary["ratio_median"]:.1f} ({summary["ratio_min"]:.1f} to {summary["ratio_max"]:.1f}), masks '
        f'{"equal" if summary["masks_equal"] else "DIFFERENT"}, images within {summary["largest_difference"]} gray levels'
    )
    shared = (
        memory['pss_bytes'] and f'; {memory["pss_bytes"] / 1e6:.0f} MB with {settings["workers"]} workers, shared counted once'
    )
    print(
        f'memory: {memory["decoded_bytes"] / 1e6:.0f} MB for {settings["scans"]} decoded scans, filled in '
        f'{record["timings"]["build_seconds"]:.1f} s; peak {memory["peak_rss_bytes"] / 1e6:.0f} MB in one process{shared or ""}'
    )


def main() -> None:
    """Run the tool."""
    args = parse_args()
    from octfluid.io.atomic import require_folder, write_json

    require_folder(args.out, '--out')
    from octfluid.engine.benchmark import benchmark_record
    from octfluid.engine.config import load_config, parse_options

    options = parse_options(args.cfg_options)
    cfg = load_config(args.config, options)
    record = benchmark_record(args.kind, args.config, options, with_progress(args, cfg))
    print_data(record)
    path = args.out / f'{args.kind}_{Path(args.config).stem}.json'
    write_json(path, record)
    print(f'record: {path}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
