"""Images of run records with chosen scores, for the tests of uncertainty and of comparisons."""


def row(index, subject, tp, fp, fn, tn=5000, extra=None):
    return dict(
        name=f'i{index:03d}', subject=subject, height=100, width=100, tp=tp, fp=fp, fn=fn, tn=tn - fp, extra=extra or {}
    )  # fmt: skip


def of_dice(percents, subjects=None):
    """Return images of 100 true pixels each with a given Dice in percent, by default one a subject."""
    subjects = range(len(percents)) if subjects is None else subjects
    return [row(k, owner, p, 100 - p, 100 - p) for k, (p, owner) in enumerate(zip(map(int, percents), subjects, strict=True))]


def random_images(rng, subjects, each=1, truth=None):
    """Return images of all kinds; `truth` fixes their true pixels, so that two calls score the same images."""
    images = []
    for index in range(subjects * each):
        true = int(rng.integers(0, 200)) if truth is None else truth[index]
        tp = int(rng.integers(0, true + 1))
        images.append(row(index, index // each, tp, int(rng.integers(0, 60)), true - tp))
    return images
