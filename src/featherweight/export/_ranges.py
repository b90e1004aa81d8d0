"""A network's graph of operators, and the range of every value in it on pictures."""

import copy
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

BATCH = 64


class Ranges(Interpreter):
    """Runs the graph on pictures and keeps each node's smallest and largest value, its shape, and what comes out."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.least: dict[Node, float] = {}
        self.most: dict[Node, float] = {}
        self.shapes: dict[Node, Size] = {}
        self.given: Any = None

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.is_floating_point() and n.op in ("call_function", "placeholder"):
            self.least[n] = min(self.least.get(n, float("inf")), result.min().item())
            self.most[n] = max(self.most.get(n, -float("inf")), result.max().item())
            self.shapes.setdefault(n, result.shape)
        return result

    def over(self, pictures: Tensor) -> "Ranges":
        """Run on all pictures [N, C, H, W], some at a time."""
        for start in range(0, len(pictures), BATCH):
            self.given = self.run(pictures[start : start + BATCH])
        return self


def graph_of(model: nn.Module, pictures: Tensor) -> GraphModule:
    """The graph of operators, for any number of pictures, without activations that write over their input."""
    copied = copy.deepcopy(model).cpu().float().eval()
    for module in copied.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    example = pictures[:2] if len(pictures) > 1 else pictures.expand(2, -1, -1, -1).contiguous()
    program = torch.export.export(copied, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    graph = program.module()
    assert isinstance(graph, GraphModule)
    return graph
