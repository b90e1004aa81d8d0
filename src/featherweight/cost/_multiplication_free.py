"""What the operators cost that do the work of a convolution or matrix product without multiplying."""

from ._formulas import register_formula
from ._op_mix import OpMix
from ._trace import OpCall

ADDER, MITCHELL = "adder", "mitchell"
PRODUCT_AND_SUM = OpMix(integer_additions=1, additions=1)


def _terms(call: OpCall) -> int:
    """Terms that are summed: for each output, as many as its filter has numbers."""
    weight = call.inputs[1]
    return call.outputs[0].numel * (weight.numel // weight.shape[0])


def _bias(call: OpCall) -> OpMix:
    return OpMix(additions=call.outputs[0].numel * len(call.inputs[2:]))


def _adder(call: OpCall) -> OpMix:
    """Subtract, take the absolute value, add to the sum: two additions a term, as AdderNet's tables count them."""
    return OpMix(additions=2, absolutes=1) * _terms(call) + _bias(call)


def _mitchell_convolution(call: OpCall) -> OpMix:
    """An integer addition for the product, I(1.0) being taken off the weight beforehand, and an addition to the sum."""
    return PRODUCT_AND_SUM * _terms(call) + _bias(call)


def _mitchell_matrix_product(call: OpCall) -> OpMix:
    return PRODUCT_AND_SUM * (call.outputs[0].numel * call.inputs[0].shape[-1])


def _mitchell_product(call: OpCall) -> OpMix:
    return OpMix(integer_additions=1) * call.outputs[0].numel


register_formula("featherweight::adder2d", _adder, kind=ADDER)
register_formula("featherweight::mitchell_conv2d", _mitchell_convolution, kind=MITCHELL)
register_formula("featherweight::mitchell_matmul", _mitchell_matrix_product, kind=MITCHELL)
register_formula("featherweight::mitchell_multiply", _mitchell_product, kind=MITCHELL)
