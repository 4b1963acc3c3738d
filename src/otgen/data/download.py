"""Download files of known content: they are verified first, then put in place in one step."""

from __future__ import annotations

import hashlib
import http.client
import io
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otgen import files
from otgen.data.packed import DAMAGE, unpacked
from otgen.errors import InputError

_TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A gzipped file that mirrors serve.

    Args:
        name: Its name on the mirrors and on disk, with the ending ``.gz``.
        size: Number of bytes of the uncompressed content.
        sha256: SHA-256 of the uncompressed content, so that a recompressed copy passes too.
    """

    name: str
    size: int
    sha256: str


def fetch(file: RemoteFile, folder: Path, mirrors: Sequence[str]) -> Path:
    """Download a file into a folder, unless it is there.

    Args:
        file: What to fetch.
        folder: Where to put it; made if missing.
        mirrors: URLs of folders, each ending in ``/``, tried in order.

    Returns:
        The path of the file.

    Raises:
        InputError: No mirror served the right content, or the folder cannot be written.
    """
    target = folder / file.name
    if target.exists():
        return target
    content = _download(file, folder, mirrors)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return files.write(target, content)
    except OSError as error:
        raise InputError(
            f"a downloaded file cannot be written: got the folder {folder} ({error}); "
            "give one that is writable and has space"
        ) from error


def _download(file: RemoteFile, folder: Path, mirrors: Sequence[str]) -> bytes:
    failures = []
    for mirror in mirrors:
        url = mirror + file.name
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
                # Compression does not make real data longer, so a longer answer is something else.
                content: bytes = response.read(file.size + 1)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {str(error) or type(error).__name__}")
            continue
        if _is_genuine(content, file):
            return content
        failures.append(f"{url}: served other content ({len(content)} bytes, wrong checksum)")
    raise InputError(
        f"{file.name} cannot be downloaded: tried {'; '.join(failures)}; "
        f"get the file on a machine with a network and put it into {folder}"
    )


def _is_genuine(content: bytes, file: RemoteFile) -> bool:
    try:
        plain = unpacked(io.BytesIO(content), file.size)
    except DAMAGE:
        return False
    return hashlib.sha256(plain).hexdigest() == file.sha256
