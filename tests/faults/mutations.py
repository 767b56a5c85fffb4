"""Changes to good files: what broken disks, cut transfers and people with time on their hands do to them."""

import random
import struct

_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 10_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_LONG = (1 << 31, 1 << 32, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


def _flip(rng, content):
    for _ in range(rng.choice((1, 1, 2, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _bytes(rng, content):
    place = rng.randrange(len(content))
    content[place : place + rng.randint(1, 4)] = rng.randbytes(rng.randint(1, 4))


def _extreme(rng, content):
    """Put an extreme number where a field may lie: most are aligned, and most lie in the first bytes."""
    size, order = rng.choice((1, 2, 4, 8)), rng.choice('<>')
    value = rng.choice(_EXTREMES + (_LONG if size == 8 else ())) & ((1 << 8 * size) - 1)
    last = max(1, min(len(content) - size, rng.choice((64, 512, len(content)))))
    place = rng.randrange(last)
    place -= place % rng.choice((1, size))
    content[place : place + size] = struct.pack(f'{order}{ {1: "B", 2: "H", 4: "I", 8: "Q"}[size] }', value)


def _cut(rng, content):
    del content[rng.randrange(len(content)) :]


def _drop(rng, content):
    start = rng.randrange(len(content))
    del content[start : start + rng.choice((1, 4, 64, 1024))]


def _repeat(rng, content):
    start = rng.randrange(len(content))
    content[start:start] = content[start : start + rng.choice((1, 4, 64, 1024))] * rng.choice((1, 2, 30))


def change(rng: random.Random, seeds: list[bytes], words: tuple[bytes, ...]) -> bytes:
    """Return a changed copy of one of the seeds: one to four changes, at times with a part of another seed or a word put in."""
    content = bytearray(rng.choice(seeds))

    def splice(rng, content):
        other = rng.choice(seeds)
        start, there = rng.randrange(len(content)), rng.randrange(len(other))
        content[start : start + rng.randint(0, 256)] = other[there : there + rng.randint(1, 1024)]

    def word(rng, content):
        start = rng.randrange(len(content))
        content[start : start + rng.choice((0, 0, 1, 4, 8))] = rng.choice(words)

    changes = [_flip, _flip, _bytes, _extreme, _extreme, _extreme, _cut, _drop, _repeat, splice]
    changes += [word, word] if words else []
    for _ in range(rng.choice((1, 1, 2, 4))):
        if content:
            rng.choice(changes)(rng, content)
    return bytes(content)
