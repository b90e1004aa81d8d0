"""What the tests of kernels share: each instruction set forced in turn, and shapes that do not fit any of them."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import strategies as st

from featherweight.ops._native import native


@pytest.fixture(params=native.all_kernels() if native is not None else [], scope="module")
def instruction_set(request):
    """Force one instruction set's kernels, and two threads, more than many of the shapes have work for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATHERWEIGHT_ISA", request.param)
        assert native.kernels() == request.param
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        yield request.param
        torch.set_num_threads(threads)


@pytest.fixture
def each_set(monkeypatch):
    """Function that forces one instruction set's kernels after the other, each with two threads, and gives its name."""

    def sets():
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            for name in native.all_kernels():
                monkeypatch.setenv("FEATHERWEIGHT_ISA", name)
                yield name
        finally:
            monkeypatch.delenv("FEATHERWEIGHT_ISA")
            torch.set_num_threads(threads)

    return sets


class Geometry(NamedTuple):
    """Shapes and settings of one convolution, as the operators take them."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    @property
    def settings(self):
        return self.stride, self.padding, self.dilation, self.groups


@st.composite
def _geometries(draw):
    groups = draw(st.integers(1, 3))
    channels, filters = draw(st.integers(1, 9)), draw(st.integers(1, 20))
    kernel = [draw(st.integers(1, 7)) for _ in range(2)]
    stride, dilation = ([draw(st.integers(1, 3)) for _ in range(2)] for _ in range(2))
    padding = [draw(st.integers(0, 4)) for _ in range(2)]
    sides = [
        max(1, reach * (side - 1) + 1 - 2 * more) + draw(st.integers(0, 20))
        for side, reach, more in zip(kernel, dilation, padding, strict=True)
    ]
    x, weight = (draw(st.integers(0, 3)), groups * channels, *sides), (groups * filters, channels, *kernel)
    return Geometry(x, weight, stride, padding, dilation, groups)


@pytest.fixture(scope="session")
def geometries():
    """Strategy for shapes: groups, strides, paddings, dilation, batches from none, sides that fit no vector."""
    return _geometries()
