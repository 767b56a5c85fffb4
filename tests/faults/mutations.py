"""Changes to good files: what broken disks and cut transfers do to them."""

import random
import struct

_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 10_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def _flip(rng, content):
    for _ in range(rng.choice((1, 1, 2, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _extreme(rng, content):
    """Put an extreme number where a field may lie: most are aligned, and most lie in the first bytes."""
    code = rng.choice(('<B', '<H', '>H', '<I', '>I', '<Q', '>Q'))
    size = struct.calcsize(code)
    last = max(1, min(len(content) - size, rng.choice((64, 512, len(content)))))
    place = rng.randrange(last)
    place -= place % rng.choice((1, size))
    content[place : place + size] = struct.pack(code, rng.choice((*_EXTREMES, 1 << 63)) & ((1 << 8 * size) - 1))


def _cut(rng, content):
    del content[rng.randrange(len(content)) :]


def _drop(rng, content):
    start = rng.randrange(len(content))
    del content[start : start + rng.choice((1, 4, 64, 1024))]


def change(rng: random.Random, seeds: list[bytes], words: tuple[bytes, ...]) -> bytes:
    """Return a changed copy of one of the seeds: one to four changes, at times with a part of another seed or a word put in."""
    content = bytearray(rng.choice(seeds))

    def splice(rng, content):
        other = rng.choice((*seeds, *words))
        start, there = rng.randrange(len(content)), rng.randrange(len(other))
        content[start : start + rng.choice((0, 4, 256))] = other[there : there + rng.randint(1, 1024)]

    for _ in range(rng.choice((1, 1, 2, 4))):
        if content:
            rng.choice((_flip, _flip, _extreme, _extreme, _extreme, _cut, _drop, splice, splice))(rng, content)
    return bytes(content)
