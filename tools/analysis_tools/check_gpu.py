#!/usr/bin/env python
"""Check once, on a new workstation, that the GPU computes what a CPU computes, and how fast it is."""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from octfluid.records.fingerprint import ROOT
from octfluid.utils.cli import ToolParser, exit_status_of
from octfluid.utils.errors import InputError, WorkError

ROW10 = 'configs/table2/10_crop320_wd1e-4.py'
SMOKE = 'configs/smoke/phantom.py'
PREFIX = {'img_path': 'images', 'seg_map_path': 'annotations'}
TOLERANCE = {'fp32': 1e-4, 'tf32': 1e-2, 'bf16': 5e-2}
"""Greatest relative difference of two losses from the CPU's in float32: before and after one step of SGD."""
Outcome = tuple[str, str]
"""'ok', 'FAILED' or 'not measured', and what was seen."""


def losses(head: str, precision: str, device: str, size: int) -> list[float]:
    """Return the loss of a U-Net with this head before and after one step of SGD, on noise, from the weights of seed 0."""
    import torch
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    from octfluid.engine.config import build_network, load_config

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == 'tf32'
    torch.manual_seed(0)
    model = build_network(load_config(ROOT / f'configs/hrf/{head}.py'))
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0  # its random numbers differ between devices
    model.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = list(torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=(image[:1] > 230).long())) for image in images]
    batch = model.data_preprocessor(dict(inputs=images, data_samples=samples), True)
    found = []
    for _ in range(2):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == 'bf16'):
            loss, _ = model.parse_losses(model(**batch, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def check_step(head: str, precision: str, size: int, reference: list[float]) -> Outcome:
    """Compare one training step on the GPU with the CPU's losses."""
    import torch

    if precision == 'bf16' and not torch.cuda.is_bf16_supported(including_emulation=False):
        return 'not measured', 'this GPU has no bfloat16; --amp uses float16'
    if precision == 'tf32' and (torch.version.cuda is None or torch.cuda.get_device_capability() < (8, 0)):
        return 'not measured', 'needs a build of torch for CUDA and compute capability 8.0'
    pairs = zip(losses(head, precision, 'cuda', size), reference, strict=True)
    off = max(abs(one - two) / abs(two) for one, two in pairs)
    return 'ok' if off <= TOLERANCE[
        precision
    ] else 'FAILED', f'loss differs by {off:.1e} of it (limit {TOLERANCE[precision]:g})'


def check_driver() -> Outcome:
    """Look whether this build of torch has kernels for the card."""
    import torch

    if torch.version.cuda is None:
        return 'not measured', f'torch {torch.__version__} is no build for CUDA'
    major, minor = torch.cuda.get_device_capability()
    built = torch.cuda.get_arch_list()
    query = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
    driver = subprocess.run(query, capture_output=True, text=True).stdout.split() if shutil.which(query[0]) else ['unknown']
    text = f'driver {driver[0]}, CUDA {torch.version.cuda}, capability {major}.{minor}, built for {" ".join(built)}'
    fits = any(
        name.startswith('sm_') and name[3:].rstrip('a') <= f'{major}{minor}' and name[3:-1] == f'{major}' for name in built
    )
    return 'ok' if fits else 'FAILED', text


def check_memory() -> Outcome:
    """Say how much memory the card has."""
    import torch

    if torch.version.cuda is None:
        return 'not measured', 'memory of a card'
    free, total = torch.cuda.mem_get_info()
    return 'ok', f'{free / 2**30:.1f} of {total / 2**30:.1f} GiB free'


def train(folder: Path, data: Path, size: int, resume: bool = False) -> dict:
    """Train the smoke config for 8 iterations on phantoms of this size with deterministic operators; return its weights."""
    import torch

    from octfluid.engine.config import load_config
    from octfluid.engine.run import train

    settings = {'train_cfg.max_iters': 8, 'train_cfg.val_interval': 8, 'default_hooks.checkpoint.interval': 4}
    settings |= {f'{loader}_dataloader.dataset.scan_size': (size, size) for loader in ('train', 'val')}
    settings['train_dataloader.dataset.pipeline.2.crop_size'] = (size * 3 // 4, size * 3 // 4)
    quiet = {'log_level': 'ERROR', 'default_hooks.checkpoint.max_keep_ckpts': -1}
    config = load_config(ROOT / SMOKE, {**settings, **quiet, 'data_root': data})
    train(config, str(folder), deterministic=True, resume=resume)
    return torch.load(folder / 'iter_8.pth', map_location='cpu', weights_only=True)['state_dict']


def same(one: dict, two: dict) -> Outcome:
    """Compare two sets of weights bit by bit."""
    different = [name for name in one if not one[name].equal(two[name])]
    return ('FAILED', f'{len(different)} tensors differ') if different else ('ok', f'{len(one)} tensors are bit-identical')


def check_deterministic(work: Path, data: Path, size: int) -> Outcome:
    """Train twice with the same seed."""
    for name in ('first', 'second'):
        shutil.rmtree(work / name, ignore_errors=True)
    return same(*(train(work / name, data, size) for name in ('first', 'second')))


def check_resume(work: Path, data: Path, size: int) -> Outcome:
    """Resume from the middle of the first training and compare with its end."""
    import torch

    whole, resumed = torch.load(work / 'first/iter_8.pth', weights_only=True)['state_dict'], work / 'resumed'
    shutil.rmtree(resumed, ignore_errors=True)
    resumed.mkdir()
    shutil.copy(work / 'first/iter_4.pth', resumed)
    (resumed / 'last_checkpoint').write_text(str(resumed / 'iter_4.pth'))
    return same(whole, train(resumed, data, size, resume=True))


def speed_options(data: Path) -> dict[str, str]:
    """Return the settings with which row 10 of table 2 runs on phantoms."""
    options = {'data_root': str(data)}
    for loader, side in {'train': 'train', 'val': 'val', 'test': 'val'}.items():
        dataset = f'{loader}_dataloader.dataset'
        options[f'{dataset}.ann_file'] = f'splits/heldout_{side}.txt'
        options |= {f'{dataset}.data_prefix.{kind}': f'native/{folder}' for kind, folder in PREFIX.items()}
    return options


def check_speed(kind: str, work: Path, repeats: int) -> Outcome:
    """Compare this package's speed with MMSegmentation's own runner."""
    import torch

    if torch.version.cuda is None:
        return 'not measured', 'speed of a card'
    from octfluid.datasets.prepare.phantom import write_phantom_dataset
    from octfluid.utils.atomic import write_json

    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import benchmarking

    data = work / 'phantom_256'
    write_phantom_dataset(str(data), 6, 4, 256, 256, 0)
    config, options, path = str(ROOT / ROW10), speed_options(data), work / f'{kind}_{Path(ROW10).stem}.json'
    measure = benchmarking.benchmark_train if kind == 'train' else benchmarking.benchmark_infer
    measured = measure(config, options, 20 if kind == 'train' else None, repeats)
    write_json(path, benchmarking.benchmark_record(kind, config, options, measured))
    ratios = [
        f'{name} {one["ratio_median"]:.2f} times' for name, one in measured['summary'].items() if name != benchmarking.STOCK
    ]
    return 'ok', f'{", ".join(ratios)} as fast as stock; record: {path}'


def all_checks(args: argparse.Namespace, data: Path) -> dict[str, Callable[[], Outcome]]:
    """Return every check by name, in their order."""
    side = max(64, args.size)  # of phantoms
    checks: dict[str, Callable[[], Outcome]] = {'driver and build': check_driver, 'memory': check_memory}
    on_cpu: dict[str, list[float]] = {}
    for head in args.heads:
        for precision in TOLERANCE:

            def step(head: str = head, precision: str = precision) -> Outcome:
                if head not in on_cpu:
                    on_cpu[head] = losses(head, 'fp32', 'cpu', args.size)
                return check_step(head, precision, args.size, on_cpu[head])

            checks[f'one step of {head} in {precision}'] = step
    checks['--deterministic twice'] = lambda: check_deterministic(args.work_dir, data, side)
    checks['--resume'] = lambda: check_resume(args.work_dir, data, side)
    for kind, name in {'train': 'training speed of row 10', 'infer': 'scoring speed of row 10'}.items():
        checks[name] = lambda kind=kind: check_speed(kind, args.work_dir, args.repeats)
    return checks


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = ToolParser(__doc__.strip(), 'python tools/analysis_tools/check_gpu.py')
    heads = ['fcn', 'pspnet', 'deeplabv3']
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/check_gpu'), help='folder (default: %(default)s)')
    parser.add_argument('--heads', nargs='+', choices=heads, default=heads, metavar='HEAD', help='heads (default: all three)')
    parser.add_argument('--size', type=int, default=128, metavar='PIXELS', help='side of an image (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=3, metavar='N', help='rounds of a benchmark (default: %(default)s)')
    parser.add_argument('--anew', action='store_true', help='repeat what an earlier call has checked')
    return parser.parse_args()


def main() -> int:
    """Run what has not been checked yet, one line each, and print the verdict."""
    args = parse_args()
    args.work_dir = args.work_dir.resolve()
    import torch

    from octfluid.datasets.prepare.phantom import write_phantom_dataset
    from octfluid.utils.atomic import write_json

    if not torch.cuda.is_available():
        raise InputError(f'torch {torch.__version__} sees no GPU; install its build for CUDA (README, Install)')
    if args.anew:
        shutil.rmtree(args.work_dir, ignore_errors=True)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    path, machine = args.work_dir / 'checks.json', f'{torch.cuda.get_device_name()}, torch {torch.__version__}'
    earlier = json.loads(path.read_text()) if path.is_file() else {}
    results = earlier['results'] if earlier.get('machine') == machine else {}
    print(machine)
    data = args.work_dir / 'phantom'
    write_phantom_dataset(str(data), 6, 4, max(64, args.size), max(64, args.size), 0)
    for name, check in all_checks(args, data).items():
        if results.get(name, ['FAILED'])[0] == 'FAILED':
            try:
                results[name] = check()
            except (WorkError, RuntimeError, OSError) as error:
                results[name] = ('FAILED', ' '.join(str(error).split())[:300])
            write_json(path, dict(machine=machine, results=results))
        print(f'{results[name][0]:12}  {name}: {results[name][1]}', flush=True)
    failed = [name for name, found in results.items() if found[0] == 'FAILED']
    missing = [name for name, found in results.items() if found[0] == 'not measured']
    print(
        f'{"FAILED" if failed else "passed"}: {len(failed)} of {len(results)} checks failed, {len(missing)} were not measured'
    )
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(exit_status_of(main))
