#!/usr/bin/env python
"""Measure speed and memory, and write the measurements as JSON."""

import statistics
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from octfluid.utils.cli import ToolParser, exit_status_of

ROW10 = 'configs/table2/10_crop320_wd1e-4.py'


def parse_args() -> Namespace:
    """Parse and check the command line."""
    parser = ToolParser('Measure speed and memory, and write the measurements as JSON.', 'python tools/benchmark.py data')
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    data = _add(kinds, 'data', 'configs/hrf/pspnet.py', 7, (
        'how fast training samples are made',
        'Compare how fast one loader process makes training samples with window_first and without, by turns.',
        'python tools/benchmark.py data configs/hrf/pspnet.py --samples 30 --repeats 5',
    ))  # fmt: skip
    data.add_argument('--samples', type=int, default=30, metavar='N', help='samples in a repetition (default: %(default)s)')
    train = _add(kinds, 'train', ROW10, 5, (
        'training iterations a second',
        'Compare training with MMSegmentation as it is ("stock") and with a plain loop of MONAI, if installed, by turns. All '
        'start from random weights.',
        f'python tools/benchmark.py train {ROW10} --iterations 3',
    ))  # fmt: skip
    train.add_argument('--iterations', type=int, default=2, metavar='N', help='iterations in a turn (default: %(default)s)')
    train.add_argument('--each', action='store_true', help='also each thing that makes it fast, alone and left out')
    infer = _add(kinds, 'infer', ROW10, 3, (
        'scoring of the validation scans',
        'Compare the scoring of all validation scans with MMSegmentation as it is ("stock"), by turns, and the results too.',
        f'python tools/benchmark.py infer {ROW10} --checkpoint work_dirs/10_crop320_wd1e-4/iter_400.pth',
    ))  # fmt: skip
    infer.add_argument('--checkpoint', metavar='FILE', help='weights for all (default: random ones)')
    scan = _add(kinds, 'scan', ROW10, 5, (
        'one B-scan',
        'Compare one B-scan of 496x768 pixels through an exported model, and through the network of a config with the slide '
        'inference of MMSegmentation and of MONAI, if installed, by turns.',
        'python tools/benchmark.py scan',
    ))  # fmt: skip
    scan.add_argument('--model', default='', metavar='FILE.onnx', help='exported model (default: the shipped one)')
    _add(kinds, 'launch', ROW10, 5, (
        'how soon tools begin',
        'Measure the time of --help of every tool, and that of a training from its command to its first iteration.',
        f'python tools/benchmark.py launch {ROW10}',
    ))  # fmt: skip
    args = parser.parse_args()
    for name in ('samples', 'repeats', 'iterations'):
        if getattr(args, name, 1) < 1:
            parser.error(f'--{name} {getattr(args, name)}: expected 1 or more')
    return args


def _add(kinds: Any, name: str, config: str, repeats: int, texts: tuple[str, str, str]) -> ToolParser:
    """Add a subcommand with what all of them have."""
    short, description, example = texts
    parser = kinds.add_parser(name, help=short, description=description, example=example)
    parser.add_argument('config', nargs='?', default=config, metavar='CONFIG', help='config file (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=repeats, metavar='N', help='repetitions (default: %(default)s)')
    _add_out(parser)
    parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config settings')
    return parser


def _add_out(parser: ToolParser) -> None:
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/benchmarks'), metavar='DIR', help='folder (default: %(default)s)'
    )


def with_progress(measure: Callable[[Callable[[int, int], None]], dict[str, Any]]) -> dict[str, Any]:
    """Measure under a progress bar with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn('repetitions'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn('left'))
    console = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task('repetitions', total=None)
        return measure(lambda done, total: progress.update(task, completed=done, total=total))


def measure(args: Namespace, options: dict[str, Any]) -> dict[str, Any]:
    """Return what a benchmark of the wanted kind finds."""
    from octfluid.engine.config import load_config

    cfg = load_config(args.config, options)
    if args.kind == 'launch':
        from octfluid.engine.launch import measure_launch

        tools, given = Path(__file__).resolve().parent, args.cfg_options or []
        commands = with_progress(lambda progress: measure_launch(tools, args.config, given, args.repeats, progress))
        return dict(settings=dict(repeats=args.repeats), commands=commands)
    if args.kind == 'data':
        from octfluid.engine.benchmark import benchmark_data

        return with_progress(lambda progress: benchmark_data(cfg, args.samples, args.repeats, progress))
    from octfluid.engine import benchmark_turns as turns

    if args.kind == 'train':
        return with_progress(
            lambda progress: turns.benchmark_train(args.config, options, args.iterations, args.repeats, args.each, progress)
        )
    if args.kind == 'infer':
        return with_progress(
            lambda progress: turns.benchmark_infer(args.config, options, args.checkpoint, args.repeats, progress)
        )
    return with_progress(lambda progress: turns.benchmark_scan(args.config, options, args.model, args.repeats, progress))


def print_turns(record: Mapping[str, Any]) -> None:
    """Print what contenders that took turns have done."""
    settings = record['settings']
    print(f'{record["kind"]}, {record["config"]}, {settings["repeats"]} turns each, {settings["device"]}')
    for name, found in record['summary'].items():
        line = f'{name}: {found["per_second"]:.3g} {settings["unit"]}s/s, {found["ratio_median"]:.2f} times stock '
        line += f'({found["ratio_min"]:.2f} to {found["ratio_max"]:.2f})'
        line += f', peak {record["contenders"][name]["peak_bytes"] / 1e6:.0f} MB'
        if found['share_of_matrix_rate'] is not None:
            line += f', {found["share_of_matrix_rate"]:.0%} of the rate of matrix products'
        if found['share_waiting'] is not None:
            line += f', {found["share_waiting"]:.1%} waiting for data'
        if 'mask_difference' in found:
            line += f', masks differ in {found["mask_difference"]:.4%} of pixels (stock marks {found["marked"]:.2%})'
            line += f', probabilities by {found["largest_difference"]:.1e}'
        print(line)


def print_launch(record: Mapping[str, Any]) -> None:
    """Print how soon tools began."""
    for command, seconds in record['commands'].items():
        print(f'{command}: {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})')


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
    from octfluid.utils.atomic import require_file_names, require_folder, write_json

    require_folder(args.out, '--out')
    path = args.out / f'{args.kind}_{Path(args.config).stem}.json'
    require_file_names([path])
    from octfluid.engine.benchmark import benchmark_record
    from octfluid.engine.config import parse_options

    options = parse_options(args.cfg_options)
    record = benchmark_record(args.kind, args.config, options, measure(args, options))
    dict(data=print_data, launch=print_launch).get(args.kind, print_turns)(record)
    write_json(path, record)
    print(f'record: {path}')


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
