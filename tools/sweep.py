#!/usr/bin/env python
"""Train every config with every seed and split, each as its own process; skip what is done, go on with what is not."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from octfluid.utils.cli import ToolParser, exit_status_of, positive_number, seed_number
from octfluid.utils.errors import InputError

TRAIN = Path(__file__).resolve().with_name('train.py')


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = ToolParser(
        'Train every config x split x seed as its own process. Runs whose record exists are skipped, unfinished ones '
        'resumed; a failed run does not stop the others. Exit status: 0 all done, 1 some failed, 2 bad arguments.',
        'python tools/sweep.py configs/table2/*.py --seeds 0 1 2 --amp auto --gpus 0,1\n'
        '  python tools/sweep.py configs/table2/10_crop320_wd1e-4.py --seeds 0 1 --splits paper halves leave-one-subject-out\n'
        '  python tools/sweep.py configs/table2/*.py --seeds 0 1 2 --executor slurm '
        '--slurm partition=gpu time=240 gpus_per_node=1',
    )
    add, several = parser.add_argument, dict(nargs='+', action='extend')
    add('configs', nargs='+', type=Path, metavar='CONFIG', help='config files')
    add('--seeds', **several, type=seed_number, required=True, metavar='N', help='random seeds')
    add('--splits', **several, metavar='NAME', help="splits; halves: both halves of the literature; leave-one-subject-out: "
        "every subjectNN, with pooled scores (default: each config's own)")  # fmt: skip
    add('--init', metavar='PATH|URL|none', help="initial weights; none: random ones (default: each config's own)")
    add('--amp', nargs='?', const='on', choices=['on', 'auto'], help='mixed precision; auto: where it is faster here')
    add('--work-dir', type=Path, default=Path('work_dirs/sweep'), help='folder (default: %(default)s)')
    add('--executor', choices=['local', 'slurm'], default='local', help='run here, or as jobs of Slurm (default: %(default)s)')
    add('--slurm', **several, default=[], metavar='K=V', help='for the jobs: partition=, time= (minutes), gpus_per_node=, ...')
    add('--jobs', type=positive_number, metavar='N', help='parallel processes (default: one a GPU in --gpus, else 1)')
    add('--gpus', type=gpu_list, default=[], metavar='0,1', help='GPUs to share out among the jobs')
    add('--cfg-options', **several, default=[], metavar='K=V', help='overrides for every config')
    args = parser.parse_args()
    if args.executor == 'slurm' and (args.gpus or args.jobs is not None):
        parser.error('--jobs, --gpus: are for --executor local; expected --slurm gpus_per_node=N for the GPUs of each job')
    if args.executor == 'local' and args.slurm:
        parser.error('--slurm: is for --executor slurm')
    args.jobs = args.jobs or len(args.gpus) or 1
    return args


def gpu_list(text: str) -> list[str]:
    """Read ``--gpus``."""
    gpus = [gpu.strip() for gpu in text.split(',')]
    if wrong := [gpu for gpu in gpus if not re.fullmatch(r'\d+|(GPU|MIG)-[\w/-]+', gpu)]:
        raise argparse.ArgumentTypeError(f'{wrong[0]!r}: expected numbers of GPUs (or their UUIDs), such as 0,1')
    return gpus


def run_with_progress(runs: Sequence[Any], args: argparse.Namespace) -> list[Any]:
    """Run what is to do under a progress bar with the time left; one line a finished run."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    from octfluid.engine.sweep import Outcome, run_all, run_on_cluster

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task('runs', total=len(runs))

        def report(outcome: Outcome) -> None:
            progress.advance(task)
            text = f'{outcome.status}: {outcome.run.config.stem} {outcome.run.name}'
            console.print(text, markup=False, highlight=False, soft_wrap=True)

        command = [sys.executable, str(TRAIN)]
        if args.executor == 'slurm':
            return run_on_cluster(runs, command, args.slurm, on_outcome=report)
        return run_all(runs, command, jobs=args.jobs, gpus=args.gpus, on_outcome=report)


def print_table(outcomes: Sequence[Any]) -> None:
    """Print the scores of all runs, in percent."""
    from rich.console import Console
    from rich.table import Table

    from octfluid.records.record import to_run
    from octfluid.reporting.formats import percent

    table = Table('config', 'split', 'init', 'seed', 'mIoU %', 'mDice %', 'foreground Dice %', 'status')
    for outcome in outcomes:
        run, record = outcome.run, outcome.record
        scores = to_run(run.folder, record).scores if record else dict.fromkeys(('mIoU', 'mDice', 'Dice'))
        cells = [percent(scores[name]) for name in ('mIoU', 'mDice', 'Dice')]
        table.add_row(run.config.stem, run.split, run.init, str(run.seed), *cells, outcome.status)
    # Piped output has no width of its own, and cut cells would be of no use there.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def pooled_lines(outcomes: Sequence[Any]) -> list[str]:
    """Pool the folds of leave-one-subject-out, and of one's own data: one line for each config, initial weights and seed.

    A line has the scores over all folds in percent. While folds are missing, it names them and gives no score.

    Raises:
        InputError: Records that cannot be pooled, see `octfluid.reporting.folds.pool`; or a data set without an index.
    """
    from octfluid.datasets.splits import load_index
    from octfluid.records.record import to_run
    from octfluid.reporting import folds
    from octfluid.reporting.formats import percent

    groups: dict[tuple, list[Any]] = {}
    for outcome in outcomes:
        run = outcome.run
        if (protocol := folds.protocol_of(run.split)) in (folds.LEAVE_ONE_OUT, folds.FOLDS):
            groups.setdefault((protocol, run.config, run.init, run.seed, run.data_root), []).append(outcome)
    lines = []
    for (protocol, config, init, seed, data_root), members in groups.items():
        expected = {name: row.subject for name, row in load_index(data_root).items()}
        done = [to_run(outcome.run.folder, outcome.record) for outcome in members if outcome.record]
        pooled = folds.pool(done, expected) if done else None
        title = f'{protocol}, {config.stem} {init} seed {seed}'
        if pooled is None or pooled.missing:
            named = folds.fold_names(expected) if protocol == folds.LEAVE_ONE_OUT else [one.run.split for one in members]
            missing = ', '.join(pooled.missing if pooled else named)
            lines.append(f'{title}: pooled scores withheld, no complete record of {missing}')
        else:
            shown = (('mIoU', 'mIoU'), ('mDice', 'mDice'), ('Dice', 'foreground Dice'))
            scores = ', '.join(f'{label} {percent(pooled.scores[name])} %' for name, label in shown)
            lines.append(f'{title}: {scores}, pooled over {len(pooled.runs)} folds, {len(pooled.images)} images')
    return lines


def main() -> int:
    """Plan, run, and report."""
    args = parse_args()
    import octfluid.register  # noqa: F401  registers what configs name
    from octfluid.engine.sweep import parse_parameters, plan_runs, split_done
    from octfluid.utils.atomic import require_folder

    if missing := [config for config in args.configs if not config.is_file()]:
        raise InputError(f'{missing[0]}: no such config file')
    if args.executor == 'slurm':
        args.slurm = parse_parameters(args.slurm)
    require_folder(args.work_dir, '--work-dir')
    runs = plan_runs(
        args.configs, args.seeds, args.work_dir, splits=args.splits, init=args.init, amp=args.amp, options=args.cfg_options
    )
    earlier, waiting = split_done(runs)
    records = [outcome.record for outcome in earlier if outcome.record]
    how = 'each as a job' if args.executor == 'slurm' else f'{args.jobs} at a time'
    print(f'{len(runs)} runs: {len(records)} done before, {len(waiting)} to do, {how}', flush=True)
    others = sum((record['precision'] == 'fp32') == (args.amp == 'on') for record in records)
    if others and args.amp != 'auto':
        print(f'note: {others} of those done were trained {"without" if args.amp else "with"} --amp, and stay as they are')
    outcomes = {outcome.run.folder: outcome for outcome in (*earlier, *run_with_progress(waiting, args))}
    outcomes = [outcomes[run.folder] for run in runs]
    print_table(outcomes)
    for line in pooled_lines(outcomes):
        print(line)
    failed = [outcome for outcome in outcomes if outcome.status == 'failed']
    for outcome in failed:
        run = outcome.run
        print(f'failed: {run.config.stem} {run.name}: {outcome.message}; log: {run.log}', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
