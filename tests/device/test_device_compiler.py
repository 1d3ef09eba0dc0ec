"""Marks for torch's compiler: told when something compiles, whether a function was marked before or after."""

import torch

from multimodal_lab.device import compiler


class Early:
    def tripled(self, x):
        return x * 3


def test_an_opaque_function_is_in_no_graph_and_a_constant_one_is_called_as_it_is_traced(monkeypatch):
    monkeypatch.setattr(compiler, "_waiting", [])
    monkeypatch.setattr(compiler, "_begun", False)
    monkeypatch.setattr(Early, "tripled", compiler.opaque(Early.tripled))
    asked, graphs = [], []

    def number(word):
        asked.append(word)
        return len(word)

    def backend(graph, inputs):
        graphs.append({str(node.target) for node in graph.graph.nodes if node.op == "call_function"})
        return graph.forward

    early = Early()
    assert early.tripled(torch.ones(2)).tolist() == [3, 3]
    assert len(compiler._waiting) == 1
    torch._dynamo.reset()
    marked = compiler.constant(number)
    call = compiler.compiled(lambda x: early.tripled(x + marked("abc")) - 1, backend=backend)
    late = compiler.opaque(lambda x: x / 2)
    assert not compiler._waiting
    assert call(torch.ones(2)).tolist() == [11, 11]
    traced = len(asked)
    assert call(torch.ones(2)).tolist() == [11, 11]
    assert len(asked) == traced > 0
    assert graphs
    assert not any("mul" in target for graph in graphs for target in graph)
    assert torch.compile(late, backend="eager")(torch.ones(2)).tolist() == [0.5, 0.5]
    torch._dynamo.reset()
