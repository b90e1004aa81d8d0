"""The file format `.fwz`: a header, then each tensor's bytes; read one tensor at a time, and nothing without a check.

    "fwz" and the version, 1: 4 bytes
    the header, then the coders' tables; each: its bytes in the file and unpacked, CRC-32 (4 bytes each), zlib
    of each tensor in the header's order: its bytes, CRC-32

The header is JSON: the metadata of `save_model`, which have the network's recipe, and of each tensor its name, shape,
type and, if it is shared, how large its codebook is and how its two streams are coded. Numbers are little-endian.
"""

import io
import json
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from torch import Tensor

from featherweight._files import atomic_path

from ._entropy import CODERS, Coded, flat, unflat
from ._entry import TYPES, Entry, tensor_of

VERSION = 1
MAGIC = b"fwz" + bytes([VERSION])
MOST_PER_BYTE = 1 << 14
"""Tensors of more bytes than that for each byte of the file are no claim to believe: such a file is refused."""
_SECTION = struct.Struct("<III")
_CHECKSUM = struct.Struct("<I")
_MOST_HEADER = 1 << 26  # bytes
_MOST_ZLIB = 1032  # bytes that one byte can become
_MOST_AXES = 16


class PackedFileError(ValueError):
    """A `.fwz` file is damaged, or is none; the message says where."""


class Header(NamedTuple):
    """What is known of a file before its tensors are read.

    Args:
        metadata: as `save_model` writes them.
        entries: of all tensors, without numbers and data.
        sizes: of each tensor, the bytes of its numbers and of each stream.
    """

    metadata: Mapping[str, str]
    entries: tuple[Entry, ...]
    sizes: tuple[tuple[int, ...], ...]


def write(path: str | os.PathLike[str], metadata: Mapping[str, str], entries: Sequence[Entry]) -> None:
    """Write a file whole or not at all, and only if it gives the same entries when it is read."""
    rows: list[list[object]] = []
    for entry in entries:
        row: list[object] = [entry.name, entry.shape, entry.dtype]
        if entry.streams:
            row += [len(entry.numbers) // 4]
            row += [[CODERS.index(s.coder), s.symbols, len(s.table), len(s.data)] for s in entry.streams]
        rows.append(row)
    header = json.dumps({"metadata": dict(sorted(metadata.items())), "tensors": rows}, separators=(",", ":")).encode()
    tables = b"".join(flat(stream.table) for entry in entries for stream in entry.streams)
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            file.write(MAGIC)
            for section in (header, tables):
                content = zlib.compress(section, 9)
                file.write(_SECTION.pack(len(content), len(section), zlib.crc32(content)) + content)
            for entry in entries:
                content = entry.numbers + b"".join(stream.data for stream in entry.streams)
                file.write(content + _CHECKSUM.pack(zlib.crc32(content)))
        if tuple(_entries(temporary)) != tuple(entries):
            raise AssertionError(f"{path}: the file written does not read as what was to be written")


def packed_tensors(path: str | os.PathLike[str]) -> Iterator[tuple[str, Tensor]]:
    """Go through the tensors of a `.fwz` file; no more than one is in memory at a time.

    Raises:
        FileNotFoundError: no such file.
        PackedFileError: it is damaged, or is none.

    Example:
        >>> import tempfile
        >>> from featherweight.compress import pack
        >>> from featherweight.networks import create
        >>> path = pack(create("squeezenet", num_classes=10), f"{tempfile.mkdtemp()}/model.fwz").path
        >>> name, weight = next(packed_tensors(path))
        >>> name, tuple(weight.shape)
        ('stem.0.weight', (96, 3, 7, 7))
    """
    for entry in _entries(path):
        with _damage_in(path, entry.name):
            tensor = tensor_of(entry)
        yield entry.name, tensor


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read a file's header, and hold all that it claims to the file's size. Raises: as `packed_tensors`."""
    with _opened(path) as file:
        return _header(file, path)


def _entries(path: str | os.PathLike[str]) -> Iterator[Entry]:
    """Go through a file's tensors, with their numbers and data."""
    with _opened(path) as file:
        header = _header(file, path)
        for entry, sizes in zip(header.entries, header.sizes, strict=True):
            with _damage_in(path, entry.name):
                content, checksum = file.read(sum(sizes)), file.read(_CHECKSUM.size)
                _demand(checksum == _CHECKSUM.pack(zlib.crc32(content)), "its checksum is not that of its bytes")
                parts = _cut(content, sizes)
                numbers = next(parts)
                streams = tuple(stream._replace(data=data) for stream, data in zip(entry.streams, parts, strict=True))
            yield entry._replace(numbers=numbers, streams=streams)


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    return Path(path).open("rb")


def _header(file: BinaryIO, path: str | os.PathLike[str]) -> Header:
    size = os.fstat(file.fileno()).st_size
    magic = file.read(len(MAGIC))
    if magic[:3] != MAGIC[:3]:
        raise PackedFileError(f"{path} is no .fwz file: it begins with {magic!r}")
    if magic != MAGIC:
        raise PackedFileError(f"{path} is of version {magic[3:].hex() or 'none'} of the format; this reads {VERSION}")
    with _damage_in(path, "the header"):
        content = json.loads(_section(file, size).decode())
        tables = io.BytesIO(_section(file, size))
        _demand(type(content) is dict and content.keys() == {"metadata", "tensors"}, "it has not the two parts")
        metadata, rows = content["metadata"], content["tensors"]
        _demand(type(metadata) is dict and all(type(one) is str for one in metadata.values()), "metadata are no texts")
        _demand(type(rows) is list, "the tensors are no list")
        entries, sizes = [], []
        for row in rows:
            entry, its_sizes = _read_row(row, tables)
            entries.append(entry)
            sizes.append(its_sizes)
        _demand(not tables.read(), "tables are left over")
        _demand(len({entry.name for entry in entries}) == len(entries), "two tensors have one name")
        claimed = sum(math.prod(entry.shape) * TYPES[entry.dtype].itemsize for entry in entries)
        _demand(claimed <= MOST_PER_BYTE * size, f"it claims tensors of {claimed} bytes, in a file of {size}")
        wanted = file.tell() + sum(sum(one) + _CHECKSUM.size for one in sizes)
        _demand(wanted == size, f"it is for a file of {wanted} bytes, and this has {size}")
        return Header(metadata, tuple(entries), tuple(sizes))


def _section(file: BinaryIO, size: int) -> bytes:
    """Read and unpack a part of the header in no more memory than it says, which the file's size must bear out."""
    sizes = file.read(_SECTION.size)
    _demand(len(sizes) == _SECTION.size, "the file ends in it")
    here, unpacked, checksum = _SECTION.unpack(sizes)
    _demand(here <= size, f"it claims {here} bytes, in a file of {size}")
    _demand(unpacked <= min(_MOST_ZLIB * here, _MOST_HEADER), f"it claims to be {unpacked} bytes, packed in {here}")
    content = file.read(here)
    _demand(zlib.crc32(content) == checksum, "its checksum is not that of its bytes")
    decompressor = zlib.decompressobj()
    section = decompressor.decompress(content, unpacked + 1)  # 0 would be any number
    _demand(len(section) == unpacked and decompressor.eof and not decompressor.unused_data, "it is not of its size")
    return section


def _read_row(row: Any, tables: BinaryIO) -> tuple[Entry, tuple[int, ...]]:
    """Read what the header says of a tensor. Raises: ValueError: it is none."""
    _demand(type(row) is list and len(row) in (3, 6), "a tensor has 3 or 6 parts")
    name, shape, dtype, *shared = row
    _demand(type(name) is str, f"a name is {name!r}")
    _demand(type(shape) is list and len(shape) <= _MOST_AXES, f"the shape of {name} is {shape!r}")
    _demand(math.prod(_whole(side) or 1 for side in shape) < 1 << 62, f"the shape of {name} is {shape!r}")
    _demand(type(dtype) is str and dtype in TYPES, f"the type of {name} is {dtype!r}")
    count = math.prod(shape)
    entry = Entry(name, tuple(shape), dtype, b"")
    if not shared:
        return entry, (count * TYPES[dtype].itemsize,)
    codebook, *rows = shared
    _demand(dtype == "float32" and _whole(codebook) <= min(256, count), f"{name} has a codebook of {codebook}")
    streams, sizes = [], [4 * codebook]
    for one in rows:
        _demand(type(one) is list and len(one) == 4, "a stream has 4 parts")
        coder, symbols, table, data = map(_whole, one)
        _demand(coder < len(CODERS) and symbols <= count and table <= 256, f"a stream of {name} is {one}")
        packed = tables.read(table)
        _demand(len(packed) == table, "tables are missing")
        streams.append(Coded(CODERS[coder], symbols, unflat(packed), b""))
        sizes.append(data)
    return entry._replace(streams=tuple(streams)), tuple(sizes)


def _whole(value: object) -> int:
    """Return a whole number, 0 or more and of 8 bytes at most."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"wanted a whole number, 0 or more; got {value!r}")
    return value


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _cut(content: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Cut bytes into parts."""
    for end, size in zip(accumulate(sizes), sizes, strict=True):
        yield content[end - size : end]


@contextmanager
def _damage_in(path: str | os.PathLike[str], where: str) -> Iterator[None]:
    """Name the file and the place in it where what is read there is damaged."""
    try:
        yield
    except (ValueError, zlib.error, struct.error, RecursionError) as error:
        raise PackedFileError(f"{path} is damaged in {where}: {error}") from error
