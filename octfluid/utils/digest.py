"""The SHA-256 by which records and manifests name files."""

import hashlib
import os
from pathlib import Path


def file_sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, as ``sha256sum`` prints it, or of names and bytes of the files of a folder."""
    path, digest = Path(path), hashlib.sha256()
    for part in sorted(part for part in path.iterdir() if part.is_file()) if path.is_dir() else [path]:
        if part != path:
            digest.update(os.fsencode(part.name) + b'\0')
        with open(part, 'rb') as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
