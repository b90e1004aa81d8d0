"""ONNX in half precision: what float16 cannot hold stays float32, and says so."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from featherweight.export import ModelFileError, TargetError, export, load, ncnn, openvino
from featherweight.export._half import to_half

X = np.array([[1.0, -2.0, 0.5]], np.float32).reshape(1, 3, 1, 1)


def chain(*weights):
    """A model of 1x1 convolutions without bias, then a mean over the map: [N, 3, 1, 1] -> [N, 3]."""
    nodes, name = [], "input"
    for number in range(len(weights)):
        nodes.append(helper.make_node("Conv", [name, f"w{number}"], [f"c{number}"], name=f"conv{number}"))
        name = f"c{number}"
    nodes.append(helper.make_node("Flatten", [name], ["logits"], name="flatten"))
    graph = helper.make_graph(
        nodes, "chain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 1, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.diag(w).astype(np.float32)[..., None, None], f"w{i}")
         for i, w in enumerate(weights)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model.metadata_props.add(key="featherweight", value='{"labels": ["a", "b", "c"]}')
    return model


def written(model, tmp_path, precision="float16"):
    onnx.save(model, tmp_path / "float32.onnx")
    return export(tmp_path / "float32.onnx", tmp_path / "half.onnx", precision=precision, metadata={"more": 1})


def test_the_weights_are_halves_and_the_ends_are_not(tmp_path):
    path = written(chain([1.5, 2.5, 0.1]), tmp_path)
    proto = onnx.load(path)
    assert [tensor.data_type for tensor in proto.graph.initializer] == [TensorProto.FLOAT16]
    assert {value.type.tensor_type.elem_type for value in (*proto.graph.input, *proto.graph.output)} == {
        TensorProto.FLOAT
    }
    runner = load(path)
    assert runner.metadata == {"labels": ["a", "b", "c"], "more": 1, "in_float32": []}
    assert runner.describe() == ""
    expected = [1.5, -5.0, float(np.float16(np.float16(0.1) * np.float16(0.5)))]
    np.testing.assert_array_equal(runner(X)[0], np.float32(expected))


@pytest.mark.parametrize(
    ("weights", "kept"),
    [
        (([1e5, 1, 1], [1e-5, 1, 1]), ["conv0"]),  # beyond the largest; the second's largest weight is 1
        (([1, 1, 1], [2e-5, 1e-5, 3e-5]), ["conv1"]),  # all below the smallest normal number
        (([1e6, 1e6, 1e6], [1e-6, 1e-6, 1e-6]), ["conv0", "conv1"]),
        (([0, 0, 0], [1, 2, 3]), []),
    ],
)
def test_a_layer_that_float16_cannot_hold_stays(tmp_path, weights, kept):
    runner = load(written(chain(*weights), tmp_path))
    assert runner.metadata["in_float32"] == kept
    assert all(name in runner.describe() for name in kept)
    product = np.prod([np.float32(one) for one in weights], axis=0)
    first = np.float32(weights[0]) * X.reshape(3)
    whole = np.abs(first) <= np.finfo(np.float16).max  # between two layers a value is a half: 1e5 becomes infinite
    got = runner(X)[0]
    np.testing.assert_allclose(got[whole], (product * X.reshape(3))[whole], rtol=2e-3, atol=1e-7)
    assert np.isfinite(got[whole]).all()


def test_zeros_that_say_no_type_are_halves(tmp_path):
    """As in the shortcuts of the ResNets for small pictures: channels of zeros are appended."""
    model = chain([1, 2, 3])
    shape = numpy_helper.from_array(np.array([1, 3]), "shape")
    model.graph.initializer.append(shape)
    model.graph.node[-1].output[0] = "flat"
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["zeros"]))
    model.graph.node.append(helper.make_node("Concat", ["flat", "zeros"], ["logits"], axis=1))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 6
    np.testing.assert_array_equal(load(written(model, tmp_path))(X), [[1, -4, 1.5, 0, 0, 0]])


def test_no_weight_becomes_infinite():
    model = chain([7e4, 65504, -65504])
    assert to_half(model) == ["conv0"]
    assert [tensor.data_type for tensor in model.graph.initializer] == [TensorProto.FLOAT]


@pytest.mark.parametrize("weights", [[1, 2, 3], [1e5, 1, 1]])  # the second stay in float32
def test_a_file_in_float16_is_no_source(tmp_path, weights):
    half = written(chain(weights), tmp_path)
    for precision in ("float32", "float16"):
        for made in (export, openvino.export):
            with pytest.raises(
                ModelFileError, match=rf"half.onnx is float16; {precision} is made of a file in float32"
            ):
                made(half, tmp_path / "again", precision=precision, metadata={})
    with pytest.raises(ModelFileError, match=r"half.onnx is float16; ncnn takes the float32 file"):
        ncnn.export(half, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_files_that_are_something_else(tmp_path):
    with pytest.raises(ModelFileError, match=r"float32.onnx is float; it cannot become int8"):
        written(chain([1, 2, 3]), tmp_path, "int8")
    with pytest.raises(TargetError, match="onnx has no int4; it has float32, float16, int8"):
        written(chain([1, 2, 3]), tmp_path, "int4")
    for name in ("text.onnx", "text.json"):  # onnx itself would read the second as JSON
        (tmp_path / name).write_bytes(b"no model")
        with pytest.raises(ModelFileError, match=f"{name} is not an ONNX model"):
            export(tmp_path / name, tmp_path / "half.onnx", precision="float16", metadata={})
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        export(tmp_path / "none.onnx", tmp_path / "half.onnx", metadata={})
    assert not (tmp_path / "half.onnx").exists()
