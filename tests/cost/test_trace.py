import copy

import pytest
import torch
from torch import Tensor, nn

from featherweight.cost import trace
from featherweight.cost._trace import _SHAPE_KEEPING, _shape_rule, meta_twin


class Residual(nn.Module):
    """One convolution called twice, an in-place activation, a view, a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True))
        self.register_buffer("scale", torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(self.inner(x))
        return (y + x * self.scale).flatten(1)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU())
    model.train()
    model[3].eval()
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    parameters = [id(parameter) for parameter in model.parameters()]
    trace(model, (3, 8, 8))
    assert [module.training for module in model.modules()] == modes
    assert [id(parameter) for parameter in model.parameters()] == parameters
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.device.type == "cpu" for parameter in model.parameters())


def test_no_weight_is_copied():
    model = nn.Linear(8, 8)
    model.table = torch.zeros(3)  # neither parameter nor buffer
    twin = meta_twin(model)
    assert {tensor.device.type for tensor in (*twin.parameters(), twin.table)} == {"meta"}
    assert isinstance(twin.weight, nn.Parameter)
    assert model.table.device.type == "cpu"


def test_shared_weights_stay_shared():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    twin = meta_twin(model)
    assert twin[0].weight is twin[1].weight
    assert twin[0].bias is not twin[1].bias


def test_each_call_knows_its_module():
    calls = trace(Residual(), (4, 5, 5))
    seen = [(call.op, call.module, call.module_type.__name__) for call in calls]
    assert seen == [
        ("input", "", "Residual"),
        ("convolution", "inner.0", "Conv2d"),
        ("relu_", "inner.1", "ReLU"),
        ("convolution", "inner.0", "Conv2d"),
        ("relu_", "inner.1", "ReLU"),
        ("mul", "", "Residual"),
        ("add", "", "Residual"),
        ("view", "", "Residual"),
        ("output", "", "Residual"),
    ]


def test_memory_is_told_apart_by_storage():
    picture, convolution, relu, _, _, product, total, view, output = trace(Residual(), (4, 5, 5))
    assert relu.inputs[0].storage == relu.outputs[0].storage == convolution.outputs[0].storage
    assert view.outputs[0].storage == total.outputs[0].storage == output.inputs[0].storage
    assert len({call.outputs[0].storage for call in (picture, convolution, product, total)}) == 4
    assert [tensor.role for tensor in convolution.inputs] == ["activation", "parameter", "parameter"]
    assert [tensor.role for tensor in product.inputs] == ["activation", "constant"]


def test_what_comes_from_no_picture_is_constant():
    class Filled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            canvas = torch.zeros(1, 4, device=x.device) + torch.ones(1, 4, device=x.device)
            constant = canvas.exp()
            canvas[:, :2] = x.flatten(1)
            return canvas + constant

    calls = trace(Filled(), (2, 1, 1))
    roles = {call.op: call.outputs[0].role for call in calls if call.outputs}
    assert roles["zeros"] == roles["ones"] == roles["exp"] == "constant"
    assert roles["copy_"] == "activation"
    assert [tensor.role for tensor in calls[-2].inputs] == ["activation", "constant"]


def test_slices_tell_where_they_lie():
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return x.chunk(2, dim=1)

    *_, output = trace(Halves(), (4, 3, 3))
    assert [(tensor.offset, tensor.numel, tensor.storage_size) for tensor in output.inputs] == [
        (0, 18, 36),
        (18, 18, 36),
    ]


def test_parameters_that_nothing_reads_are_listed():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Identity())
    model[1].spare = nn.Linear(5, 6)
    unread = [call for call in trace(model, (3, 2, 2)) if call.op == "unread"]
    assert [(call.module, [tensor.shape for tensor in call.inputs]) for call in unread] == [("1.spare", [(6, 5), (6,)])]


def test_a_caller_in_inference_mode_sees_the_same_trace():
    model = Residual()
    outside = [call.op for call in trace(model, (4, 5, 5))]
    with torch.inference_mode():
        assert [call.op for call in trace(model, (4, 5, 5))] == outside


def test_the_picture_has_the_type_of_the_weights():
    calls = trace(nn.Conv2d(3, 4, 1).half(), (3, 2, 2))
    assert calls[0].outputs[0].dtype == torch.float16


@pytest.mark.parametrize("size", [0, (3, 4, 5, 6), (3.0, 8.0, 8.0), (0, 8, 8), "224"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match=r"input size must be a side, .* got"):
        trace(nn.Identity(), size)


def test_a_model_that_does_not_tell_its_size_needs_one():
    with pytest.raises(ValueError, match="Identity has no attribute resolution: give the input size as"):
        trace(nn.Identity())
    with pytest.raises(ValueError, match="Identity has no attribute in_channels"):
        trace(nn.Identity(), (8, 8))


@pytest.mark.parametrize("name", sorted(_SHAPE_KEEPING))
@pytest.mark.parametrize("suffix", ["", "_"])
def test_shape_rules_say_what_pytorch_says(name, suffix):
    operator = getattr(torch.ops.aten, name + suffix, None)
    if operator is None:
        pytest.skip(f"PyTorch has no {name}{suffix}")
    x = torch.empty(2, 3, 4, 5, device="meta")
    ruled, real = _shape_rule(name + suffix, (x,)), operator.default(x)
    assert (ruled is x) == (real is x)
    assert (ruled.shape, ruled.stride(), ruled.dtype) == (real.shape, real.stride(), real.dtype)
    assert ruled.untyped_storage().nbytes() == real.untyped_storage().nbytes()
    assert _shape_rule(name + suffix, (x.transpose(0, 1),)) is None


def test_the_batch_norm_rule_says_what_pytorch_says():
    x, channel = torch.empty(2, 3, 4, 5, device="meta"), torch.empty(3, device="meta")
    args = (x, channel, channel, channel, channel, False, 0.1, 1e-5)
    ruled, real = _shape_rule("native_batch_norm", args), torch.ops.aten.native_batch_norm.default(*args)
    assert (ruled[0].shape, ruled[0].stride()) == (real[0].shape, real[0].stride())
    assert _shape_rule("native_batch_norm", (*args[:5], True, 0.1, 1e-5)) is None
