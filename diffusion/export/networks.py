"""Networks as ONNX files, for batches and captions of any size."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from conditioning.encoder import to_eight_bits
from diffusion.condition import Condition
from diffusion.export.fusing import fused
from diffusion.networks.base import leap
from diffusion.pipeline import GlyphPipeline

OF_WORDS = "ids", "embedding", "mask"  # inputs whose second size is the number of tokens
FEWEST = 256  # numbers of a weight that is worth storing in fewer bits
BLOCK = 32  # numbers of one scale
DOMAIN, UNPACK = "tianshu", "Unpack"  # the function that makes float32 of fewer bits


class Part(NamedTuple):
    """A network, and how it is called.

    Attributes:
        module: what has the weights.
        call: what is computed with it.
        inputs: an example of each input, three rows, by its name.
        output: its name.
        bits: of a stored weight, 8, 10, 12 or 16: as few as change next to nothing of what is drawn
            (the shipped weights are of 16, and hold which radicals a seed draws exactly).
    """

    module: nn.Module
    call: Callable[..., Tensor]
    inputs: dict[str, Tensor]
    output: str
    bits: int


class _Call(nn.Module):
    """The call of a part as a module, which is what can be exported."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.module, self.call = part.module, part.call

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.call(*inputs)


def parts_of(pipe: GlyphPipeline) -> dict[str, Part]:
    """What drawing calls, by the name of its file."""
    text, autoencoder, denoiser = pipe.text_encoder, pipe.autoencoder, pipe.denoiser
    prior, recognizer, student = pipe.prior, pipe.recognizer, pipe.student
    generator = torch.Generator().manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(3, *shape, generator=generator)

    size, side = denoiser.config.latent_size, autoencoder.config.image_size
    mask = torch.tensor([[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    ids = torch.randint(2, text.model.config.vocab_size, mask.shape, generator=generator)
    words = {"embedding": randn(5, text.dim) * mask[:, :, None], "mask": mask}
    latent, glyph = randn(denoiser.config.latent_channels, size, size), randn(1, side, side)
    noisy = {"x_t": latent, "t": torch.tensor([0.1, 0.5, 0.9])}
    going = {"length": torch.tensor([0.1, 0.25, 0.5]), "scale": torch.tensor([1.0, 4.0, 8.0])}
    latent, glyph = {"latent": latent}, {"glyph": glyph.sigmoid()}

    def embed(ids: Tensor, mask: Tensor) -> Tensor:
        return text.model(ids, mask) * mask[:, :, None]

    def denoise(x_t: Tensor, t: Tensor, embedding: Tensor, mask: Tensor) -> Tensor:
        return denoiser(x_t, t, Condition(embedding, mask))

    def hop(
        x_t: Tensor, t: Tensor, embedding: Tensor, mask: Tensor, length: Tensor, scale: Tensor
    ) -> Tensor:
        return leap(student, x_t, t, length, Condition(embedding, mask), scale)

    found = {
        "text_encoder": Part(text.model, embed, {"ids": ids, "mask": mask}, "embedding", 16),
        "prior": prior and Part(prior, prior, {"pooled": randn(text.dim)}, "logits", 16),
        # A student does all that its teacher does in a folder, with as many weights.
        "denoiser": None if student else Part(denoiser, denoise, noisy | words, "prediction", 12),
        "student": student and Part(student, hop, noisy | words | going, "prediction", 12),
        "encoder": Part(autoencoder.encoder, autoencoder.encode, glyph, "latent", 10),
        "decoder": Part(autoencoder.decoder, autoencoder.decode, latent, "glyph", 10),
        "recognizer": recognizer and Part(recognizer, recognizer, glyph, "embedding", 8),
    }
    return {name: part for name, part in found.items() if part}


@torch.no_grad()
def to_onnx(part: Part) -> tuple[bytes, float]:
    """The ONNX file of a part, and the largest difference of its output from that of PyTorch."""
    call = _Call(part).eval()
    sizes = [{0: "batch"} | ({1: "tokens"} if name in OF_WORDS else {}) for name in part.inputs]
    with _quietly():
        program = torch.onnx.export(
            call,
            tuple(part.inputs.values()),
            input_names=list(part.inputs),
            output_names=[part.output],
            dynamic_shapes=(tuple(sizes),),
            dynamo=True,
            verbose=False,
        )
    numbers = count()
    for node in program.model.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.name = f"v{next(numbers)}"  # the exporter's may be that of the output
    data = smaller(fused(program.model_proto), part.bits).SerializeToString()
    few = {  # another batch, and another number of tokens
        name: value[:2, :4] if name in OF_WORDS else value[:2]
        for name, value in part.inputs.items()
    }
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (drawn,) = session.run(None, {name: value.numpy() for name, value in few.items()})
    return data, float(np.abs(drawn - call(*few.values()).numpy()).max())


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter says of its own insides."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


# ---- weights in fewer bits -----------------------------------------------------------------------


def smaller(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """A model whose matrices are stored in 8, 10 or 12 bits, or with all other weights in 16.

    It still computes in float32: whoever loads it makes that of them, once. Only a table of
    embeddings stays as it is, in eight bits if these hold it exactly, and becomes float32 row by
    row as its rows are looked up.
    """
    graph = model.graph
    users = {name: node for node in graph.node for name in node.input}
    weights, nodes, lookups = [], [], {}

    def store(name: str, **arrays: np.ndarray) -> list[str]:
        names = [f"{name}.{kind}" for kind in arrays]
        weights.extend(map(numpy_helper.from_array, arrays.values(), names))
        return names

    for weight in graph.initializer:
        numbers, name = numpy_helper.to_array(weight), weight.name
        user = users[name]
        if weight.data_type != TensorProto.FLOAT or numbers.size < FEWEST:
            weights.append(weight)
        elif user.op_type == "Gather":
            lookups[user.output[0]] = _lookup(user, store(name, **_table(numbers)))
        elif bits < 16 and numbers.ndim > 1 and numbers.size % BLOCK == 0:
            stored = store(name, **pack(numbers, bits), shape=np.array(numbers.shape))
            nodes.append(helper.make_node(UNPACK, stored, [name], domain=DOMAIN))
        else:
            (stored,) = store(name, half=numbers.astype(np.float16))
            nodes.append(_float32(stored, name))
    for node in graph.node:
        node.ClearField("metadata_props")  # where in our code it is from
        node.ClearField("name")
        nodes += lookups.get(node.output[0], [node])
    return helper.make_model(
        helper.make_graph(nodes, "tianshu", graph.input, graph.output, weights),
        functions=[_unpack(bits, model.opset_import)] if bits < 16 else [],
        opset_imports=[*model.opset_import, helper.make_opsetid(DOMAIN, 1)],
        ir_version=10,
    )


def pack(numbers: np.ndarray, bits: int) -> dict[str, np.ndarray]:
    """Weights as whole numbers of 8, 10 or 12 bits, with a scale for each block of 32.

    Returns:
        `scale` `(N, 1)` float16; `high`, the upper eight bits, `(N, 32)` int8; and unless there are
        no others `low`, uint8, with those of several numbers of a block in a byte: of the first of
        the block in the upper bits, and so on.
    """
    blocks, rest = numbers.reshape(-1, BLOCK), bits - 8
    most = 2 ** (bits - 1) - 1
    scale = (np.abs(blocks).max(axis=1, keepdims=True) / most).astype(np.float16)
    scale = np.maximum(scale, np.finfo(np.float16).smallest_subnormal)
    codes = (blocks / scale.astype(np.float32)).round().clip(-most - 1, most).astype(np.int16)
    packed = {"scale": scale, "high": (codes >> rest).astype(np.int8)}
    if rest:
        low = (codes & 2**rest - 1).astype(np.uint8).reshape(len(codes), 8 // rest, -1)
        shifts = np.arange(8 - rest, -1, -rest, dtype=np.uint8)[:, None]
        packed["low"] = (low << shifts).sum(axis=1, dtype=np.uint8)
    return packed


def _unpack(bits: int, opsets: list[onnx.OperatorSetIdProto]) -> onnx.FunctionProto:
    """The function that makes float32 of what `pack` gives, and of the shape."""
    make, to_float, rest = helper.make_node, {"to": TensorProto.FLOAT}, bits - 8
    nodes = [make("Cast", ["high"], ["codes"], **to_float)]
    if rest:
        shifts = range(8 - rest, -1, -rest)
        for name, value in {"mask": 2**rest - 1, **{f"by{n}": n for n in shifts}}.items():
            number = helper.make_tensor("", TensorProto.UINT8, [], [value])
            nodes.append(make("Constant", [], [name], value=number))
        for n in shifts:
            nodes.append(make("BitShift", ["low", f"by{n}"], [f"shifted{n}"], direction="RIGHT"))
            nodes.append(make("BitwiseAnd", [f"shifted{n}", "mask"], [f"part{n}"]))
        factor = helper.make_tensor("", TensorProto.FLOAT, [], [2**rest])
        nodes += [
            make("Concat", [f"part{n}" for n in shifts], ["parts"], axis=1),
            make("Cast", ["parts"], ["units"], **to_float),
            make("Constant", [], ["factor"], value=factor),
            make("Mul", ["codes", "factor"], ["upper"]),
            make("Add", ["upper", "units"], ["all"]),
        ]
    nodes += [
        make("Cast", ["scale"], ["step"], **to_float),
        make("Mul", ["all" if rest else "codes", "step"], ["blocks"]),
        make("Reshape", ["blocks", "shape"], ["weight"]),
    ]
    inputs = ["scale", "high", *["low"] * bool(rest), "shape"]
    return helper.make_function(DOMAIN, UNPACK, inputs, ["weight"], nodes, opsets)


def _table(numbers: np.ndarray) -> dict[str, np.ndarray]:
    """A table of embeddings, with a scale a row."""
    codes, scale = (x.numpy() for x in to_eight_bits(torch.tensor(numbers)))
    if np.array_equal(codes * scale.astype(np.float32), numbers):
        return {"codes": codes, "scale": scale}
    return {"codes": numbers.astype(np.float16), "scale": np.ones_like(scale)}


def _lookup(gather: NodeProto, stored: list[str]) -> list[NodeProto]:
    """The nodes that look up rows of a table and their scales, and multiply them."""
    name = gather.output[0]
    rows, numbers = ([f"{name}.{i}" for i in pair] for pair in ((0, 1), (2, 3)))
    return [
        *(
            helper.make_node("Gather", [x, gather.input[1]], [row])
            for x, row in zip(stored, rows, strict=True)
        ),
        *map(_float32, rows, numbers),
        helper.make_node("Mul", numbers, [name]),
    ]


def _float32(stored: str, name: str) -> NodeProto:
    return helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT)
