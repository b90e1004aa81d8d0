"""What a network costs: parameters, multiply-adds, energy, memory and traffic by counting; latency by measuring."""

from . import _multiplication_free as _multiplication_free  # its formulas enter themselves
from ._analyze import Cost, KindCost, LayerCost, analyze, cost_of
from ._block_memory import BlockMemory, block_memory
from ._energy import ENERGY
from ._formulas import UnknownOperatorError, register_formula
from ._latency import Latency, latency_of, measure_latency
from ._metrics import METRICS
from ._op_mix import OpMix
from ._trace import OpCall, TensorInfo, TraceError, meta_twin, trace

__all__ = [
    "ENERGY",
    "METRICS",
    "BlockMemory",
    "Cost",
    "KindCost",
    "Latency",
    "LayerCost",
    "OpCall",
    "OpMix",
    "TensorInfo",
    "TraceError",
    "UnknownOperatorError",
    "analyze",
    "block_memory",
    "cost_of",
    "latency_of",
    "measure_latency",
    "meta_twin",
    "register_formula",
    "trace",
]
