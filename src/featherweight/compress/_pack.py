"""Deep Compression of a whole network into one file, and back."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from featherweight.networks._checkpoints import OURS
from featherweight.networks._saved import build, describe

from ._entry import TYPES, Entry, raw_entry, shared_entry, tensor_of
from ._fwz import Header, PackedFileError, packed_tensors, read_header, write
from ._share import Progress, check_choices, is_large, plain, shared, with_progress


@dataclass(frozen=True, kw_only=True)
class PackedTensor:
    """A pruned and shared tensor in a `.fwz` file.

    Args:
        name, shape: as in the state dict.
        kept: its weights that are not zero.
        centroids: the values that they have.
        positions_bytes, indices_bytes: of its two streams; `positions_coder` and `indices_coder` are the coders'.
        entropy_bytes: of the symbols of both.
    """

    name: str
    shape: tuple[int, ...]
    kept: int
    centroids: int
    positions_bytes: int
    positions_coder: str
    indices_bytes: int
    indices_coder: str
    entropy_bytes: float


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What `pack` wrote, all sizes in bytes; positions, indices, codebooks, rest and header are all of the file.

    Args:
        path: of the file.
        float_bytes: of the network's weights and buffers as they are in memory.
        packed_bytes: of the file.
        positions_bytes: which weights are not zero.
        indices_bytes: which centroid each of those is.
        codebooks_bytes: the centroids.
        rest_bytes: what is not shared.
        header_bytes: recipe, names, shapes, the coders' tables, and checksums.
        entropy_bytes: what positions and indices cannot go below, coded symbol by symbol.
        tensors: those that are shared.
    """

    path: Path
    float_bytes: int
    packed_bytes: int
    positions_bytes: int
    indices_bytes: int
    codebooks_bytes: int
    rest_bytes: int
    header_bytes: int
    entropy_bytes: float
    tensors: tuple[PackedTensor, ...]

    @property
    def bound_bytes(self) -> float:
        """The entropy of all symbols, with the numbers that are stored as they are: codebooks and rest."""
        return self.entropy_bytes + self.codebooks_bytes + self.rest_bytes

    def to_dict(self) -> dict[str, object]:
        """Give all as plain numbers, strings, lists and dicts, ready for JSON."""
        return {**asdict(self), "path": str(self.path), "bound_bytes": self.bound_bytes}


def pack(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    density: float = 0.33,
    bits: int = 6,
    metadata: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Packed:
    """Prune a network, share its weights and write it, entropy-coded, to one file.

    Pruning and sharing are those of `share_weights`; a network that it made, trained or not, is written as it is. Of
    each tensor the positions of its weights (the zeros before each) and their indices into its codebook are coded by a
    Huffman code and by rANS, and the smaller is kept. Each is decoded and compared, and the file read again, before it
    takes its name.

    Args:
        model: made by `create`, float32; it is left as it was.
        path: of the file, usually .fwz; written whole or not at all.
        density: share of the weights to keep, in (0, 1].
        bits: of an index into a codebook, 1 to 8.
        metadata: more text to carry along, as in `save_model`.
        progress: called with the share that is done, from 0 to 1.
    Returns: what was written, and how large its parts are.
    Raises: ValueError, PackError: as `share_weights` and `save_model`.

    Source: Han et al., "Deep Compression", ICLR 2016. Differs from the paper: rANS besides Huffman codes; a gap of more
        than 254 zeros is a symbol of its own, where the paper puts in a weight of zero.

    Example:
        >>> import tempfile, torch
        >>> from featherweight.compress import share_weights
        >>> from featherweight.networks import create
        >>> model = create("squeezenet", num_classes=10)
        >>> packed = pack(model, f"{tempfile.mkdtemp()}/model.fwz", density=0.33, bits=6)
        >>> packed.float_bytes > 10 * packed.packed_bytes, packed.packed_bytes < 1.02 * packed.bound_bytes
        (True, True)
        >>> weight = unpack(packed.path).stem[0].weight
        >>> torch.equal(weight, share_weights(model, density=0.33, bits=6).stem[0].weight)
        True
    """
    check_choices(density, bits)
    model = plain(model)
    described = describe(model, metadata)
    large = {name for name, one in model.named_parameters(remove_duplicate=False) if is_large(name, one)}
    entries: list[Entry] = []
    entropies: dict[str, float] = {}
    for name, tensor in with_progress(model.state_dict(), progress):
        if name in large:
            few = torch.from_numpy(shared(tensor.cpu().numpy(), density, bits))
            entry, entropies[name] = shared_entry(name, few)
            if not torch.equal(tensor_of(entry).view(torch.int32), few.view(torch.int32)):
                raise AssertionError(f"{name} does not decode to what was coded")
        else:
            entry = raw_entry(name, tensor)
        entries.append(entry)
    write(path, described, entries)
    float_bytes = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return _measured(Path(path), float_bytes, entries, entropies)


def unpack(path: str | os.PathLike[str]) -> nn.Module:
    """Read a network that `pack` wrote: built anew, with its weights, in evaluation mode.

    Its weights are, bit for bit, those of the pruned and shared network. Nothing is decoded before the header is held
    to the file's size and to the network that it names.

    Raises:
        FileNotFoundError: no such file.
        PackedFileError: the file is damaged, or is none.

    Example: see `pack`.
    """
    header = read_header(path)
    model = _blank(header, path)
    model.load_state_dict(dict(packed_tensors(path)), assign=True)
    return model


def packed_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the texts that were packed with a network, such as its labels. Raises: as `unpack`."""
    return {name: text for name, text in read_header(path).metadata.items() if name != OURS}


def _blank(header: Header, path: str | os.PathLike[str]) -> nn.Module:
    """Build the network of a header without weights. Raises: PackedFileError: it has not the tensors of the header."""
    try:
        with _no_more_parameters_than(len(header.entries)):
            model = build(header.metadata, path)
    except (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError, AttributeError) as error:
        raise PackedFileError(f"{path} is damaged: it names no network that can be built: {error}") from error
    wanted = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in model.state_dict().items()}
    there = {entry.name: (entry.shape, TYPES[entry.dtype]) for entry in header.entries}
    for name in wanted | there:
        if wanted.get(name) != there.get(name):
            raise PackedFileError(
                f"{path} is damaged: its tensors are not those of its network {model.name}, first {name}: "
                f"{there.get(name, 'missing')} there, {wanted.get(name, 'none')} in the network"
            )
    return model


@contextmanager
def _no_more_parameters_than(tensors: int) -> Iterator[None]:
    """Stop the building of a network that has more parameters than a file has tensors."""
    registered, thread = 0, threading.get_ident()

    def count(*_: object) -> None:
        nonlocal registered
        registered += threading.get_ident() == thread  # the hook is the whole process'
        if registered > 2 * tensors:  # some are replaced while a network is built
            raise ValueError(f"it has more parameters than the {tensors} tensors of the file")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _measured(path: Path, float_bytes: int, entries: Sequence[Entry], entropies: Mapping[str, float]) -> Packed:
    """Sum up what was written."""
    tensors = []
    for entry in entries:
        if entry.streams:
            positions, indices = entry.streams
            tensors.append(
                PackedTensor(
                    name=entry.name,
                    shape=entry.shape,
                    kept=indices.symbols,
                    centroids=len(entry.numbers) // 4,
                    positions_bytes=len(positions.data),
                    positions_coder=positions.coder,
                    indices_bytes=len(indices.data),
                    indices_coder=indices.coder,
                    entropy_bytes=entropies[entry.name] / 8,
                )
            )
    packed_bytes = path.stat().st_size
    return Packed(
        path=path,
        float_bytes=float_bytes,
        packed_bytes=packed_bytes,
        positions_bytes=sum(one.positions_bytes for one in tensors),
        indices_bytes=sum(one.indices_bytes for one in tensors),
        codebooks_bytes=sum(len(entry.numbers) for entry in entries if entry.streams),
        rest_bytes=sum(len(entry.numbers) for entry in entries if not entry.streams),
        header_bytes=packed_bytes - sum(entry.size for entry in entries),
        entropy_bytes=sum(one.entropy_bytes for one in tensors),
        tensors=tuple(tensors),
    )
