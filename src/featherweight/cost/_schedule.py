"""When each piece of memory is written first and read last: memory and traffic follow from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ._formulas import FREE, rule
from ._op_mix import OpMix
from ._trace import OpCall, TensorInfo


@dataclass(frozen=True)
class Schedule:
    """A trace as a device would run it: in the traced order, each tensor kept until its last reader is done.

    Batch normalization is folded, as every deployment does it: one with running statistics that alone reads what a
    convolution or fully connected layer computed is part of that layer. It needs no memory of its own, reads only a
    bias for each channel and adds it. Other batch norms count like any operator. Activation functions are not merged
    with anything: in place they need no memory of their own, else they do, as the model is written.

    A result that nobody reads (the positions of max pooling) is not counted.

    Args:
        calls: the trace.
        folded: positions in `calls` of the folded batch norms.
        written: activation memory -> position of the call that writes it first. A folded batch norm's output is the
            memory of the layer that it is folded into.
        read: memory -> position of its last reader.
        memory: activation memory -> one tensor that lies in it.
        stands_for: memory of a folded batch norm's output -> memory of its input.
    """

    calls: tuple[OpCall, ...]
    folded: frozenset[int]
    written: dict[int, int]
    read: dict[int, int]
    memory: dict[int, TensorInfo]
    stands_for: dict[int, int]

    def live_bytes(self, width: int) -> list[int]:
        """Bytes of activations alive while each call runs, its inputs and outputs among them.

        The picture is alive until its last reader is done. Views and in-place results share memory and count once.
        Values of floating type take `width` bytes; others (indices) what they take in PyTorch.
        """
        change = [0] * (len(self.calls) + 1)
        for storage, start in self.written.items():
            if storage in self.read:
                tensor = self.memory[storage]
                size = tensor.storage_size * _value_bytes(tensor, width)
                change[start] += size
                change[self.read[storage] + 1] -= size
        return list(accumulate(change))[:-1]

    def bytes_moved(self, position: int, width: int) -> int:
        """Bytes that a call reads and writes: each distinct input once, weights among them, and each output."""
        call = self.calls[position]
        if call.op in FREE:
            return 0
        if position in self.folded:
            return call.inputs[0].shape[1] * width
        written = (t for t in call.outputs if self.stands_for.get(t.storage, t.storage) in self.read)
        return sum(
            min(t.numel, t.storage_size) * _value_bytes(t, width) for t in (*dict.fromkeys(call.inputs), *written)
        )

    def operations(self, position: int) -> OpMix:
        """Elementary operations of a call; a folded batch norm leaves the additions of its bias."""
        call = self.calls[position]
        if call.op in FREE:
            return OpMix()
        return OpMix(additions=call.outputs[0].numel) if position in self.folded else rule(call).mix(call)

    def multiply_adds(self, position: int) -> int:
        """Multiply-adds of a call: of convolutions and matrix products only."""
        call = self.calls[position]
        return rule(call).mix(call).multiplies if call.op not in FREE and rule(call).multiply_adds else 0


def schedule(calls: Sequence[OpCall]) -> Schedule:
    """Work out lifetimes and folded batch norms of a trace."""
    stands_for = dict(_folded_memory(calls))
    folded: set[int] = set()
    written: dict[int, int] = {}
    read: dict[int, int] = {}
    memory: dict[int, TensorInfo] = {}
    for position, call in enumerate(calls):
        if call.op == "native_batch_norm" and call.outputs[0].storage in stands_for:
            folded.add(position)
        if call.op not in FREE or call.op == "output":
            read.update((stands_for.get(t.storage, t.storage), position) for t in call.inputs)
        if call.op not in FREE or call.op == "input":
            for tensor in call.outputs:
                storage = stands_for.get(tensor.storage, tensor.storage)
                if tensor.role == "activation":
                    written.setdefault(storage, position)
                    memory.setdefault(storage, tensor)
    return Schedule(tuple(calls), frozenset(folded), written, read, memory, stands_for)


def _folded_memory(calls: Sequence[OpCall]) -> Iterator[tuple[int, int]]:
    """For each batch norm that can be folded: the memory of its output and of its input."""
    maker: dict[int, OpCall] = {}
    readers: dict[int, int] = {}
    for call in calls:
        if call.op not in FREE or call.op == "output":
            for storage in {t.storage for t in call.inputs}:
                readers[storage] = readers.get(storage, 0) + 1
        for tensor in call.outputs:
            maker.setdefault(tensor.storage, call)
    for call in calls:
        if call.op == "native_batch_norm" and not call.args[5]:
            x = call.inputs[0]
            before = maker.get(x.storage)
            if before is not None and readers[x.storage] == 1 and _can_absorb(before):
                yield call.outputs[0].storage, x.storage


def _can_absorb(call: OpCall) -> bool:
    if call.op in FREE or not rule(call).multiply_adds:
        return False
    return any(t.role != "activation" for t in call.inputs)


def _value_bytes(tensor: TensorInfo, width: int) -> int:
    return width if tensor.dtype.is_floating_point else tensor.dtype.itemsize
