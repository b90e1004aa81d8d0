"""What the C kernels lack is refused by name, not computed otherwise; and the compiler is the one asked for."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from featherweight.export import c99, load
from featherweight.export._c99 import _build, _read, _reference
from featherweight.export._c99._program import UnsupportedError


def written(path: Path, *layers) -> Path:
    """An int8 file of layers one behind the other: operator, further inputs, attributes. Weights are (int8, scale)."""
    nodes, tensors = [], {"one": np.float32(1), "zero": np.uint8(0)}

    def in_bytes(name):
        nodes.append(helper.make_node("QuantizeLinear", [name, "one", "zero"], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", "one", "zero"], [f"{name}_b"]))
        return f"{name}_b"

    last = in_bytes("input")
    for number, (kind, more, settings) in enumerate(layers):
        names = [last]
        for given in more:
            name = given if isinstance(given, str) else f"t{len(tensors)}"
            if isinstance(given, tuple):
                tensors[name], tensors[f"{name}_scale"] = np.asarray(given[0], np.int8), np.float32(given[1])
                nodes.append(helper.make_node("DequantizeLinear", [name, f"{name}_scale"], [f"{name}_f"]))
                name = f"{name}_f"
            elif not isinstance(given, str):
                tensors[name] = given
            names.append(name)
        nodes.append(helper.make_node(kind, names, [f"x{number}"], name=f"layer{number}", **settings))
        last = in_bytes(f"x{number}")
    graph = helper.make_graph(
        nodes, "layers",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 2, 4, 4])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model.metadata_props.add(key="featherweight", value="{}")
    onnx.save(model, path)
    return path


def reshape(*sizes):
    return "Reshape", [np.array([0, *sizes])], {}


def conv(channels, scale=1.0):
    return "Conv", [(np.ones((3, channels, 1, 1)), scale)], {}


WINDOW = {"kernel_shape": [2, 2]}
PADS = np.array([0, 1, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("layers", "complaint"),
    [
        ([reshape(4, 4, 2), conv(4)], r"Conv \(layer1\) takes a map \[2, 4, 4\] as \[4, 4, 2\]; the kernels lack"),
        ([reshape(8, 2, 2), ("MaxPool", [], WINDOW)], r"MaxPool \(layer1\) takes a map \[2, 4, 4\] as \[8, 2, 2\]"),
        ([reshape(8, 2, 2), ("AveragePool", [], WINDOW)], r"AveragePool \(layer1\) takes a map \[2, 4, 4\] as"),
        ([reshape(8, 2, 2), ("GlobalAveragePool", [], {})], r"GlobalAveragePool \(layer1\) takes a map \[2, 4, 4\] as"),
        ([("Flatten", [], {})], r"takes a map \[2, 4, 4\] as \[32\]"),
        ([conv(4)], r"Conv \(layer0\) wants 4 channels; got 2"),
        (
            [reshape(1, 8, 4), ("Concat", ["x0_b"], {"axis": 1})],
            r"\[1, 8, 4\] takes pixels of a map 2 x 4 x 4 in an order",
        ),
        ([("Pad", [PADS, np.float32(1.5)], {})], r"lack Pad \(layer0\) with another value than 0; it has 1\.5"),
        ([("Pad", [PADS, ([3], 0.5)], {})], r"lack Pad \(layer0\) with another value than 0; it has 1\.5"),
        ([("Pad", [PADS[:2], "", np.array([1])], {})], r"lack Pad \(layer0\) of some axes; it names \[1\]"),
        ([("Pad", [PADS], {"mode": "reflect"})], r"lack Pad \(layer0\) as it stands"),
        ([conv(2, 2.0**-40)], r"a scale of Conv \(layer0\) is beyond 2\^-30 to 2\^20: 9\.09"),
    ],
)
def test_what_would_be_computed_otherwise_is_refused(tmp_path, layers, complaint) -> None:
    with pytest.raises(UnsupportedError, match=complaint):
        c99.export(written(tmp_path / "m.onnx", *layers), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_kernels_do_not_lack(tmp_path) -> None:
    """A sum of rows, and zeros as channels."""
    weights = np.random.default_rng(0).integers(-9, 12, (3, 48))
    path = written(
        tmp_path / "m.onnx",
        ("Pad", [PADS, np.float32(0)], {}),
        ("Add", ["x0_b"], {}),
        ("Flatten", [], {}),
        ("Add", ["x2_b"], {}),
        ("Gemm", [(weights, 1 / 16)], {"transB": 1}),
    )
    x = np.random.default_rng(1).integers(0, 9, (5, 2, 4, 4)).astype(np.float32)
    found = _reference.run(_read.Reader(onnx.load(path)).program(), x)
    np.testing.assert_array_equal(found, load(path)(x))
    assert len(np.unique(found)) > 5


needs_compiler = pytest.mark.skipif(c99.missing() is not None, reason=str(c99.missing()))


def program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@needs_compiler
def test_the_variable_cc_is_a_command_and_the_only_one(tmp_path, monkeypatch) -> None:
    (tmp_path / "m.c").write_text("#ifndef WANTED\n#error no flag of CC\n#endif\nint x;\n")
    here = _build.compiler_of()[0]
    monkeypatch.setenv("CC", f"'{here}' -DWANTED")
    assert _build.compiler_of() == (here, "-DWANTED")
    _build.build(_build.compiler_of(), "-c", "-o", tmp_path / "m.o", tmp_path / "m.c")
    monkeypatch.setenv("CC", "no-such-cc -m32")
    assert "no C compiler no-such-cc here, which the variable CC names: 'no-such-cc -m32'" in c99.missing()
    assert _build.compiler_of(here) == (here,)
    monkeypatch.setenv("CC", "gcc '-m32")
    with pytest.raises(c99.CompilerError, match=r"the variable CC is \"gcc '-m32\", no words of a command: No closing"):
        _build.compiler_of()


@needs_compiler
def test_sizes_are_read_by_the_compilers_own_program_or_the_machines(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    compiler, wrapper = program(tmp_path / "arm-gcc-12"), program(tmp_path / "ccache")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(c99.CompilerError, match=r"there is no .*/arm-size or size or llvm-size here, which reads the"):
        _build.size_reader((str(compiler),))
    (tmp_path / "cc").symlink_to(compiler)
    assert "there is no" in c99.missing() and "install binutils or LLVM" in c99.missing()
    other = program(tmp_path / "llvm-size")
    assert _build.size_reader((str(compiler),)) == str(other)
    assert c99.missing() is None
    own = program(tmp_path / "arm-size")
    assert _build.size_reader((str(wrapper), str(compiler))) == str(own)
    shutil.copy(other, tmp_path / "size")
    assert _build.size_reader((str(wrapper), "gcc")) == str(tmp_path / "size")
