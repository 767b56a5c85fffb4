"""How much memory is left."""

from pathlib import Path

_CGROUPS = (
    ('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory.current'),
    ('/sys/fs/cgroup/memory/memory.limit_in_bytes', '/sys/fs/cgroup/memory/memory.usage_in_bytes'),
)


def available_bytes() -> int | None:
    """Return how much memory may still be taken, by the machine or by the container this runs in, in bytes.

    None where the system does not say (Linux does).
    """
    found = []
    try:
        lines = Path('/proc/meminfo').read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable:')]
    except OSError:
        pass
    for limit, used in _CGROUPS:
        try:
            found.append(max(int(Path(limit).read_text()) - int(Path(used).read_text()), 0))
        except (OSError, ValueError):  # not this version of cgroups, or 'max'
            continue
    return min(found, default=None)
