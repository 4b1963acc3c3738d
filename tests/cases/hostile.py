"""Files that a stranger may have made, to hurt who reads them."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

MIB = 1 << 20
# Nearly what a zip archive without extensions can state.
LARGE = 0xFFFFFF00


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    """The header of a .npy file, whatever it says."""
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode("latin1")


def npy(shape: str, body: bytes = b"", descr: str = "'<f8'") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n") + body


@cache
def zeros_deflated(mib: int, start: bytes = b"") -> bytes:
    """Some bytes and then zeros, as a raw stream of deflate; made in no time, for its blocks are equal."""
    packer = zlib.compressobj(wbits=-15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * mib + packer.flush(zlib.Z_FINISH)


def gzipped_zeros(mib: int, start: bytes = b"") -> bytes:
    """A gzip file of zeros whose sum is wrong: nobody should come so far."""
    return gzip.compress(b"", mtime=0)[:10] + zeros_deflated(mib, start) + bytes(8)


def member(
    packed: bytes, name: str = "x.npy", *, size: int | None = None, method: int = 8, flags: int = 0, claims: int = 0
) -> tuple[bytes, bytes]:
    """A member of a zip archive that states any size: its local part and its entry in the directory."""
    size, sum_ = len(packed) if size is None else size, zlib.crc32(packed) if method == 0 else 0
    common = struct.pack("<HHHHIIIHH", flags, method, 0, 33, sum_, claims or len(packed), size, len(name), 0)
    # The local part begins with one version, the entry with two.
    local = b"PK\x03\x04" + struct.pack("<H", 20) + common + name.encode() + packed
    entry = b"PK\x01\x02" + struct.pack("<HH", 20, 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name.encode()
    return local, entry


def zipped(*members: tuple[bytes, bytes], directory: int | None = None) -> bytes:
    """A zip archive of them; its directory may lie about its size."""
    content, entries = b"", b""
    for local, entry in members:
        # The last number before the name is where the local part is.
        name = entry[46:]
        entries += entry[:42] + struct.pack("<I", len(content)) + name
        content += local
    size = len(entries) if directory is None else directory
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), size, len(content), 0)
    return content + entries + b"PK\x05\x06" + end


def xz_of_large_dictionary(content: bytes) -> bytes:
    """An xz file whose header asks for a dictionary of 3 GiB."""
    packed = bytearray(lzma.compress(content))
    length = (packed[12] + 1) * 4
    packed[16] = 39
    packed[12 + length - 4 : 12 + length] = struct.pack("<I", zlib.crc32(packed[12 : 12 + length - 4]))
    return bytes(packed)


def tarred(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Headers and contents, whether they fit or not."""
    return b"".join(
        info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512) for info, body in entries
    ) + bytes(1024)


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info


def sparse(path: Path, start: bytes, size: int) -> None:
    """A file that takes no space and has any size."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)


def _array_files() -> dict[str, bytes]:
    bomb = npy("(134217728,)")  # 1 GiB of float64
    honest = io.BytesIO()
    np.save(honest, np.zeros(3))
    plain = member(honest.getvalue(), method=0)
    large = npy(f"({LARGE},)", descr="'|u1'")
    return {
        "huge.npy": npy("(1000000000000,)"),
        "overflow.npy": npy("(4611686018427387904, 4611686018427387904)"),
        "digits.npy": npy(f"({'9' * 5000},)"),
        "negative.npy": npy("(-5, 3)", bytes(120)),
        "dimensions.npy": npy(f"({'1, ' * 33})", bytes(8)),
        "long-header.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(99),
        "nested.npy": header("(" * 9000),
        "minus.npy": header("-" * 9000 + "1"),
        "quotes.npy": npy("(5, 3)", bytes(120)).replace(b"'shape'", b"'shape\""),
        "zeros.npy": npy("(5, 03)", bytes(120)),
        "blanks.npy": header("{" + " " * 4000 + "'shape'" + " " * 4000),
        "wide.npy": npy("(100000000000,)", descr="'|V99999999'"),
        "nothing.npy": npy("(1000000000000000, 1000000000000000, 0)"),
        "no-size.npy": npy("(1000000000000000,)", descr="'|S0'"),
        "bomb.npz": zipped(member(zeros_deflated(1024, bomb), size=len(bomb) + 1024 * MIB)),
        "stored.npz": zipped(member(large, size=len(large) + LARGE, method=0)),
        "stated.npz": zipped(member(zlib.compress(large)[2:-4], size=len(large) + LARGE)),
        "small.npz": zipped(member(zeros_deflated(1024, bomb), size=len(bomb))),
        "short.npz": zipped(member(zlib.compress(bomb)[2:-4], size=len(bomb) + 1024 * MIB, claims=0x7FFFFFFF)),
        "twice.npz": zipped(plain, plain),
        "encrypted.npz": zipped(member(honest.getvalue(), method=0, flags=1)),
        "lzma.npz": zipped(member(bytes(99), method=14)),
        "nested.npz": zipped(member(zipped(plain), method=0)),
        "directory.npz": zipped(plain, directory=0xFFFFFFF0),
        "place.npz": zipped(plain)[:-6] + struct.pack("<IH", 0x7FFFFFFF, 0),
        "many.npz": zipped(*(member(b"", f"{i:0200}.npy", method=0) for i in range(5_000))),
    }


def _packed_files() -> dict[str, bytes]:
    images = struct.pack(">4I", 0x803, 1 << 10, 1 << 10, 1 << 10)
    readme = entry("README", size=8 << 30)
    pax = (entry("p", tarfile.XHDTYPE, 400 * MIB), b"")
    return {
        "bomb.gz": gzipped_zeros(1024, images),
        "stated.gz": gzip.compress(struct.pack(">4I", 0x803, *[(1 << 32) - 1] * 3), mtime=0),
        "stated.idx": struct.pack(">4I", 0x803, *[(1 << 32) - 1] * 3),
        "name.gz": b"\x1f\x8b\x08\x08" + bytes(6) + b"A" * (16 * MIB),
        "members.gz": gzip.compress(b"", mtime=0) * 100_000,
        "dictionary.xz": xz_of_large_dictionary(images),
        "bomb.tgz": gzipped_zeros(1024, readme.tobuf(tarfile.GNU_FORMAT)),
        "header.tgz": gzipped_zeros(400, tarred(pax)[:512]),
        "headers.tar": tarred((entry("p", tarfile.XHDTYPE), b""))[:512] * 20_000 + bytes(1024),
        "dictionary.tar.xz": xz_of_large_dictionary(bytes(4096)),
    }


FILES: dict[str, Callable[[], dict[str, bytes]]] = {"arrays": _array_files, "packed": _packed_files}


def write_all(folder: Path) -> list[str]:
    """Write every one; returns their names."""
    for make in FILES.values():
        for name, content in make().items():
            (folder / name).write_bytes(content)
    tera = npy("(137438953472,)")
    sparse(folder / "sparse.npy", tera, len(tera) + (1 << 40))
    sparse(folder / "sparse.npz", b"PK", 1 << 40)
    sparse(folder / "sparse.csv", b"1\n", 1 << 40)
    sparse(folder / "sparse.parquet", b"PAR1", 1 << 40)
    sparse(folder / "sparse.idx", struct.pack(">4I", 0x803, 1 << 14, 1 << 13, 1 << 13), 16 + (1 << 40))
    (folder / "columns.csv").write_bytes(b"1," * (3 * MIB))
    (folder / "null.csv").write_bytes(b"x,y\n1,\0\n")
    (folder / "line.csv").write_bytes(b"x" * (8 * MIB))
    return sorted(path.name for path in folder.iterdir())
