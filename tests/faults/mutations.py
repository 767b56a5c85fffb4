"""Changes to good files: what broken disks and cut transfers do to them."""

import random
import struct

_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 10_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 63)


def change(rng: random.Random, seeds: list[bytes], words: tuple[bytes, ...]) -> bytes:
    """Return one of the seeds with one to four changes: a bit, a number, a cut, a part of another seed or a word."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4))):
        kind, place = rng.choice('bbbnnncs'), rng.randrange(len(content) or 1)
        if kind == 'b' and content:
            content[place] ^= 1 << rng.randrange(8)
        elif kind == 'n':  # where a field may lie: most are aligned, and most lie in the first bytes
            code = rng.choice(('<B', '<H', '>H', '<I', '>I', '<Q', '>Q'))
            size = struct.calcsize(code)
            place = rng.randrange(min(place + 1, rng.choice((64, 512, place + 1)))) // size * size
            content[place : place + size] = struct.pack(code, rng.choice(_EXTREMES) & ((1 << 8 * size) - 1))
        elif kind == 'c':
            del content[place:]
        else:
            other = rng.choice((*seeds, *words))
            there = rng.randrange(len(other))
            content[place : place + rng.choice((0, 4, 256))] = other[there : there + rng.randint(0, 1024)]
    return bytes(content)
