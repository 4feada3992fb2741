"""What an exporter spells out as one node each, which loads in half the time."""

from __future__ import annotations

import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

NORM = "Pow", "ReduceMean", "Add", "Sqrt", "Reciprocal"  # of a root mean square, in this order


def fused(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, in place, with one node for each RMSNorm and each transposed key.

    The node of the first is one of ONNX Runtime's own.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    weights = {weight.name: weight for weight in graph.initializer}
    nodes = [
        _norm(node, makers, weights) or _transposed(node, makers) or node for node in graph.node
    ]
    _keep(graph, nodes)
    return model


def _norm(
    node: NodeProto, makers: dict[str, NodeProto], weights: dict[str, TensorProto]
) -> NodeProto | None:
    """`x * (1 / sqrt(mean(x ** 2) + epsilon)) * weight` as one node."""
    for product, weight in _both_ways(node, "Mul"):
        if weight not in weights or len(weights[weight].dims) != 1:
            continue
        for x, root in _both_ways(makers.get(product), "Mul"):
            way = _way(root, NORM, makers)
            if way and way[0].input[0] == x:
                epsilon = numpy_helper.to_array(weights[way[2].input[1]]).item()
                return helper.make_node(
                    "SimplifiedLayerNormalization",
                    [x, weight],
                    node.output,
                    axis=-1,
                    epsilon=epsilon,
                )
    return None


def _transposed(node: NodeProto, makers: dict[str, NodeProto]) -> NodeProto | None:
    """The last two axes of four, transposed by way of three, as one node."""
    way = _way(node.output[0], ("Reshape", "Transpose", "Reshape"), makers)
    if way and way[1].attribute[0].ints == [0, 2, 1] and "Concat" in _kinds(way[0].input, makers):
        return helper.make_node("Transpose", way[0].input[:1], node.output, perm=[0, 1, 3, 2])
    return None


def _both_ways(node: NodeProto | None, kind: str) -> list[tuple[str, str]]:
    """The two inputs of a node of a kind, in both orders."""
    if node is None or node.op_type != kind:
        return []
    return [(node.input[0], node.input[1]), (node.input[1], node.input[0])]


def _kinds(names: list[str], makers: dict[str, NodeProto]) -> list[str]:
    return [makers[name].op_type for name in names if name in makers]


def _way(name: str, kinds: tuple[str, ...], makers: dict[str, NodeProto]) -> list[NodeProto] | None:
    """The nodes of some kinds that lead to a value, each by its first input, or None."""
    way = []
    for kind in reversed(kinds):
        node = makers.get(name)
        if node is None or node.op_type != kind:
            return None
        way.insert(0, node)
        name = node.input[0]
    return way


def _keep(graph: GraphProto, nodes: list[NodeProto]) -> None:
    """Leaves in a graph, of some nodes and all weights, those that its outputs depend on."""
    wanted, kept = {output.name for output in graph.output}, []
    for node in reversed(nodes):  # each stands before those that it is an input of
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.insert(0, node)
    weights = [weight for weight in graph.initializer if weight.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(weights)
