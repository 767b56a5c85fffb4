"""What a checkpoint of our own says of its training."""


def of_split(split='heldout', iterations=7, seed=3, dataset='PhantomDataset'):
    settings = dict(config='0' * 64, split=split, seed=seed, precision='fp32', deterministic=False, processes=1, data='0' * 64)
    run = dict(init=None, wall_seconds=1.0, settings=settings, dataset=dataset, overrides='{}')
    return dict(run=run, meta=dict(epoch=0, iter=iterations, seed=seed))
