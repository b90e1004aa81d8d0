"""A network of Mitchell's layers multiplies neither forward nor backward: what PyTorch is asked for shows it."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from featherweight.cost import analyze
from featherweight.networks import create

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

ALLOWED = {
    # sums, differences, signs, comparisons
    *("add", "add_", "sub", "sum", "neg", "relu_", "threshold_backward"),
    # other looks at the same memory, copies, constants
    *("view", "expand", "transpose", "t", "unsqueeze", "squeeze", "slice", "slice_backward", "detach"),
    *("clone", "cat", "new_zeros", "new_full"),
    # products by integer addition
    *("featherweight::mitchell_conv2d", "featherweight::mitchell_matmul", "featherweight::mitchell_multiply"),
    *("featherweight::mitchell_conv2d_input_gradient", "featherweight::mitchell_conv2d_weight_gradient"),
    *("featherweight::mitchell_matmul_gradient", "featherweight::mitchell_multiply_gradient"),
}


class Recorder(TorchDispatchMode):
    """Writes down the operators that have to do with floating-point tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        if any(tensor.is_floating_point() for tensor in tensors):
            self.ops.add(func._schema.name.removeprefix("aten::"))
            if (kwargs or {}).get("alpha", 1) != 1:
                self.ops.add("an addition that multiplies")
        return result


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        return importlib.import_module("mitchell_digits")


def small() -> nn.Module:
    return create("resnet20", width=0.25, num_classes=10, in_channels=1, small_input=True)


def step(model: nn.Module) -> set[str]:
    """Run forward and backward of a step of training; the loss is outside."""
    x = torch.randn(4, 1, 16, 16)
    with Recorder() as recorder:
        y = model.train()(x)
    (grad,) = torch.autograd.grad(nn.functional.cross_entropy(z := y.detach().requires_grad_(), torch.arange(4)), z)
    with recorder:
        y.backward(grad)
    return recorder.ops


@pytest.mark.parametrize("backward", ["approximate", "exact"])
def test_a_step_of_training_has_no_multiplication(recipe, backward):
    model = recipe.without_multiplications(small(), backward=backward)
    assert step(model) - ALLOWED == set()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


def test_the_recorder_sees_multiplications():
    seen = step(small()) - ALLOWED
    assert {"convolution", "convolution_backward", "native_batch_norm_backward", "mean", "addmm", "mm"} <= seen


def test_its_cost_has_no_multiplication(recipe):
    ordinary, ours = (analyze(model, (1, 16, 16)) for model in (small(), recipe.without_multiplications(small())))
    assert ours.operations.multiplies == ours.operations.divisions == ours.operations.transcendentals == 0
    assert ours.operations.integer_additions > ordinary.multiply_adds
    assert ours.params == ordinary.params


def test_it_begins_as_nearly_the_same_network(recipe):
    ordinary = small()
    ours = recipe.without_multiplications(ordinary)
    x = torch.randn(8, 1, 16, 16)
    with torch.no_grad():
        for model in (ordinary, ours):
            for _ in range(20):
                model(x)
        mine, theirs = (model.eval()(x).flatten() for model in (ours, ordinary))
    assert nn.functional.cosine_similarity(mine, theirs, dim=0) > 0.9


def test_layers_that_multiply_still_are_refused(recipe):
    with pytest.raises(ValueError, match=r"layers multiply still:\nbody\.0\.\S*: Conv2d"):
        recipe.without_multiplications(create("mobilenet_v1", width=0.25, in_channels=1, small_input=True))
