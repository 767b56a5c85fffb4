"""Small checkpoints as bytes, to be changed."""

import io
import zipfile


def of_split(split='heldout', iterations=7, seed=3, dataset='PhantomDataset'):
    """What a checkpoint of our own says of its training."""
    settings = dict(config='0' * 64, split=split, seed=seed, precision='fp32', deterministic=False, processes=1, data='0' * 64)
    run = dict(init=None, wall_seconds=1.0, settings=settings, dataset=dataset, overrides='{}')
    return dict(run=run, meta=dict(epoch=0, iter=iterations, seed=seed))


def _content():
    import torch  # here: most that is fuzzed does without

    generator = torch.Generator().manual_seed(0)
    weights = {f'{name}.weight': torch.randn(3, 2, generator=generator) for name in ('backbone', 'decode_head')}
    series = dict(values=torch.arange(7.0), counts=torch.ones(7))
    momentum = {place: {'momentum_buffer': torch.zeros(3, 2)} for place in range(2)}
    return dict(
        state_dict=weights,
        optimizer=dict(state=momentum, param_groups=[dict(lr=0.01, momentum=0.9, params=[0, 1])]),
        param_schedulers=[dict(last_step=7, base_values=[0.01])],
        message_hub=dict(scalars={'train/loss': series}, info={'best_ckpt': 'best_mDice_iter_7.pth', 'best_score': 0.5}),
        **of_split(),
    )


def _archive():
    """Return a torch archive and the name of its part that says what it holds: the pickle."""
    import torch

    stream = io.BytesIO()
    torch.save(_content(), stream)
    archive = zipfile.ZipFile(stream)
    return archive, next(name for name in archive.namelist() if name.endswith('/data.pkl'))


def pickle_seeds(_):
    """What a torch archive says it holds, without the archive around it."""
    archive, name = _archive()
    return [archive.read(name)]


def pack_pickle(content):
    """Put the archive around a pickle, with the sums that it should have."""
    archive, pickled = _archive()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as packed:
        for name in archive.namelist():
            packed.writestr(name, content if name == pickled else archive.read(name))
    return stream.getvalue()


def legacy_seeds(_):
    """A checkpoint as torch wrote it before version 1.6, of which there are many about."""
    import torch

    stream = io.BytesIO()
    torch.save(_content(), stream, _use_new_zipfile_serialization=False)
    return [stream.getvalue()]


def read(path):
    """Read a checkpoint, as all tools do."""
    from octfluid.engine.checkpoint import read_checkpoint

    read_checkpoint(path)
