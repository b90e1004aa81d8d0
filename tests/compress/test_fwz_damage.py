"""Damaged files of packed networks are refused, and cost no memory."""

import json
import random
import resource
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featherweight.compress import PackedFileError, pack, packed_tensors, unpack
from featherweight.networks import create

ROOM = 64 << 20  # bytes that refusing a file may take


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    torch.manual_seed(0)
    return pack(
        create("lenet5_bn", num_classes=7), tmp_path_factory.mktemp("fwz") / "model.fwz", bits=3
    ).path.read_bytes()


@contextmanager
def little_memory() -> Iterator[None]:
    """Let this process take no more than some MB besides what it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def opened(content: bytes) -> tuple[Any, bytes, bytes]:
    """Take a file apart: header, tables, tensors."""
    parts, at = [], 4
    for _ in range(2):
        size, _, _ = struct.unpack_from("<III", content, at)
        parts.append(zlib.decompress(content[at + 12 : at + 12 + size]))
        at += 12 + size
    return json.loads(parts[0]), parts[1], content[at:]


def sealed(header: object, tables: bytes, tensors: bytes) -> bytes:
    """Put a file together, with the right checksums before the tensors."""
    content = b"fwz\x01"
    for part in (json.dumps(header).encode(), tables):
        packed = zlib.compress(part)
        content += struct.pack("<III", len(packed), len(part), zlib.crc32(packed)) + packed
    return content + tensors


def test_changed_bytes_are_refused(content, tmp_path) -> None:
    path, draw = tmp_path / "model.fwz", random.Random(0)
    path.write_bytes(content)
    whole = unpack(path)
    refused = 0
    with little_memory():
        for _ in range(1500):
            changed = bytearray(content)
            for _ in range(draw.choice((1, 1, 2, 20))):
                kind, at = draw.randrange(5), draw.randrange(len(changed))
                if kind < 2:
                    changed[at] ^= 1 << draw.randrange(8)
                elif kind == 2:
                    changed[at] = draw.randrange(256)
                elif kind == 3:
                    del changed[at : at + draw.choice((1, 4, len(changed)))]
                else:
                    changed[at:at] = draw.randbytes(draw.choice((1, 4, 100)))
                if not changed:
                    break
            path.write_bytes(changed)
            try:
                assert same(unpack(path), whole)
            except PackedFileError as error:
                refused += 1
                assert str(path) in str(error)
    assert refused > 1450


def junk(draw: random.Random, value: object) -> object:
    """Something else in the place of a value."""
    if isinstance(value, int) and draw.random() < 0.5:
        return value + draw.choice((-1, 1, 7, -value, 255, 2**31, 2**62, 10**30))
    if isinstance(value, str) and draw.random() < 0.3:
        return value[: draw.randrange(len(value) + 1)] + draw.choice(("", "x", "\ud800", "0", '"'))
    if isinstance(value, list) and value and draw.random() < 0.5:
        return draw.choice((value * 2, value[1:], value[::-1], [value]))
    return draw.choice((None, True, -1, 0, 1.5, 2**63, "", "float32", [], {}, [[]], float("nan"), "9" * 50, [1, 1, 1]))


def nodes(value: object) -> Iterator[tuple[Any, Any]]:
    """Go through all places in a tree of lists and dicts."""
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(child, list | dict):
            yield from nodes(child)


def test_a_header_that_lies_is_refused(content, tmp_path) -> None:
    """With right checksums: what is read is refused, or is a network whose tensors are those that the header claims."""
    path, draw = tmp_path / "model.fwz", random.Random(0)
    refused = 0
    with little_memory():
        for _ in range(1000):
            header, tables, tensors = opened(content)
            record = json.loads(header["metadata"]["featherweight"])
            holder, key = draw.choice(list(nodes({"header": header, "record": record}))[1:])
            if draw.random() < 0.2 and isinstance(holder, dict):
                del holder[key]
            else:
                holder[key] = junk(draw, holder[key])
            if isinstance(header, dict) and isinstance(header.get("metadata"), dict):
                header["metadata"].setdefault("featherweight", "{}")
                if draw.random() < 0.9:
                    header["metadata"]["featherweight"] = json.dumps(record)
            if draw.random() < 0.1 and tables:
                at = draw.randrange(len(tables))
                tables = tables[:at] + draw.randbytes(1) + tables[at + draw.randrange(2) :]
            path.write_bytes(sealed(header, tables, tensors))
            try:
                claims = {row[0]: tuple(row[1]) for row in header["tensors"]} if isinstance(header, dict) else {}
            except (TypeError, KeyError, IndexError):
                claims = {}
            try:
                state = unpack(path).state_dict()
                assert {name: tuple(tensor.shape) for name, tensor in state.items()} == claims
            except PackedFileError:
                refused += 1
    assert refused > 700


def test_streams_that_lie_are_refused(content, tmp_path) -> None:
    """With right checksums everywhere: a tensor of its shape, or an error."""
    path, draw = tmp_path / "model.fwz", random.Random(0)
    path.write_bytes(content)
    shapes = {name: tensor.shape for name, tensor in packed_tensors(path)}
    header, tables, tensors = opened(content)
    sizes = [4 * row[3] + row[4][3] + row[5][3] if row[3:] else 4 * int(np.prod(row[1])) for row in header["tensors"]]
    refused = 0
    for _ in range(500):
        changed, at = b"", 0
        for size in sizes:
            part = bytearray(tensors[at : at + size])
            part[draw.randrange(size)] ^= 1 << draw.randrange(8)
            changed += part + struct.pack("<I", zlib.crc32(part))
            at += size + 4
        path.write_bytes(sealed(header, tables, changed))
        try:
            assert {name: tensor.shape for name, tensor in packed_tensors(path)} == shapes
        except PackedFileError as error:
            refused += 1
            assert "is damaged in " in str(error)
    assert refused > 400


Change = Callable[[Any], object]


def claim_much(header: Any) -> None:
    header["tensors"][0][1] = [2**40]


def claim_deep(header: Any) -> None:
    header["metadata"]["featherweight"] = json.dumps(
        {"name": "efficientnet_b0", "options": {"depth": 1e6}, "batch_norm_eps": 1e-5}
    )


def claim_eps(header: Any) -> None:
    record = json.loads(header["metadata"]["featherweight"])
    header["metadata"]["featherweight"] = json.dumps({**record, "batch_norm_eps": "x"})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (claim_much, r"claims tensors of 439804\d+ bytes, in a file of \d+"),
        (lambda header: header["tensors"][0][1].append(-1), "wanted a whole number, 0 or more; got -1"),
        (lambda header: header["tensors"].append(header["tensors"][0]), "tables are missing|two tensors have one name"),
        (lambda header: header["tensors"][1].__setitem__(2, "object"), "type of .* is 'object'"),
        (lambda header: header["tensors"][1].__setitem__(2, "float64"), r"it is for a file of \d+ bytes"),
        (lambda header: header["metadata"].pop("featherweight"), "its metadata has no 'featherweight'"),
        (lambda header: header["metadata"].update(featherweight="[]"), "names no network that can be built"),
        (lambda header: header.update(extra=1), "it has not the two parts"),
        (claim_eps, "the eps of batch norms is a finite number above 0; got 'x'"),
        (claim_deep, "it has more parameters than the 18 tensors of the file"),
    ],
)
def test_what_is_wrong_with_a_header_is_said(content, tmp_path, change: Change, complaint) -> None:
    header, tables, tensors = opened(content)
    change(header)
    path = tmp_path / "model.fwz"
    path.write_bytes(sealed(header, tables, tensors))
    with little_memory(), pytest.raises(PackedFileError, match=complaint):
        unpack(path)


def test_other_files_and_versions_and_bombs(content, tmp_path) -> None:
    path = tmp_path / "model.fwz"
    bomb = zlib.compress(bytes(200 << 20), 9)
    for wrong, complaint in (
        (b"", "is no .fwz file: it begins with b''"),
        (b"PK\x03\x04" + bytes(99), "is no .fwz file"),
        (b"fwz\x02" + content[4:], "is of version 02 of the format; this reads 1"),
        (b"fwz\x01", "is damaged in the header"),
        (b"fwz\x01" + struct.pack("<III", 2**32 - 1, 8, 0), "it claims 4294967295 bytes"),
        (b"fwz\x01" + struct.pack("<III", len(bomb), 200 << 20, zlib.crc32(bomb)) + bomb, "it claims to be 209715200"),
        (b"fwz\x01" + struct.pack("<III", len(bomb), 2, zlib.crc32(bomb)) + bomb, "it is not of its size"),
    ):
        path.write_bytes(wrong)
        with little_memory(), pytest.raises(PackedFileError, match=complaint):
            unpack(path)
