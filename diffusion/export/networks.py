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
from diffusion.networks.base import leap
from diffusion.pipeline import GlyphPipeline

OF_WORDS = "ids", "embedding", "mask"  # inputs whose second size is the number of tokens
FEWEST = 256  # numbers of a weight that is worth storing in fewer bits


class Part(NamedTuple):
    """A network, and how it is called.

    Attributes:
        module: what has the weights.
        call: what is computed with it.
        inputs: an example of each input, three rows, by its name.
        output: its name.
        bits: of a stored weight, 16 or 8.
    """

    module: nn.Module
    call: Callable[..., Tensor]
    inputs: dict[str, Tensor]
    output: str
    bits: int = 16


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
        "text_encoder": Part(text.model, embed, {"ids": ids, "mask": mask}, "embedding"),
        "prior": prior and Part(prior, prior, {"pooled": randn(text.dim)}, "logits"),
        "denoiser": Part(denoiser, denoise, noisy | words, "prediction"),
        "student": student and Part(student, hop, noisy | words | going, "prediction"),
        "encoder": Part(autoencoder.encoder, autoencoder.encode, glyph, "latent"),
        "decoder": Part(autoencoder.decoder, autoencoder.decode, latent, "glyph"),
        "recognizer": recognizer and Part(recognizer, recognizer, glyph, "embedding"),
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
    data = smaller(program.model_proto, part.bits).SerializeToString()
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
    """A model whose weights are stored in 16 bits, or whose matrices are in 8.

    It still computes in float32: whoever loads it makes that of them, once. A table of embeddings
    that eight bits hold exactly has them in any case, and only rows that are looked up become
    float32.
    """
    graph = model.graph
    users = {name: node for node in graph.node for name in node.input}
    weights, nodes, lookups = [], [], {}
    for weight in graph.initializer:
        numbers, name, user = numpy_helper.to_array(weight), weight.name, users[weight.name]
        if weight.data_type != TensorProto.FLOAT or numbers.size < FEWEST:
            weights.append(weight)
            continue
        codes, scale = _eight_bits(numbers, -1 if user.op_type == "MatMul" else 0)
        if user.op_type == "Gather" and np.array_equal(codes * scale.astype(np.float32), numbers):
            found = [f"{user.output[0]}.{kind}" for kind in ("codes", "scale")]
            lookups[user.output[0]] = [
                helper.make_node("Gather", [f"{name}.{kind}", user.input[1]], [one])
                for kind, one in zip(("codes", "scale"), found, strict=True)
            ] + _product(*found, user.output[0])
        elif bits == 8 and numbers.ndim > 1:
            nodes += _product(f"{name}.codes", f"{name}.scale", name)
        else:
            weights.append(numpy_helper.from_array(numbers.astype(np.float16), f"{name}.half"))
            nodes.append(_float32(f"{name}.half", name))
            continue
        weights.append(numpy_helper.from_array(codes, f"{name}.codes"))
        weights.append(numpy_helper.from_array(scale, f"{name}.scale"))
    for node in graph.node:
        node.ClearField("metadata_props")  # where in our code it is from
        node.ClearField("name")
        nodes += lookups.get(node.output[0], [node])
    smaller = helper.make_graph(nodes, "tianshu", graph.input, graph.output, weights)
    return helper.make_model(smaller, opset_imports=model.opset_import, ir_version=10)


def _eight_bits(numbers: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes int8 and scales float16 of a weight, one scale for each of its outputs."""
    rows = np.moveaxis(numbers, axis, 0)
    codes, scale = to_eight_bits(torch.tensor(rows.reshape(len(rows), -1)))
    scale = scale.reshape(-1, *[1] * (numbers.ndim - 1)).numpy()
    codes = codes.reshape(rows.shape).numpy()
    return np.moveaxis(codes, 0, axis), np.moveaxis(scale, 0, axis)


def _float32(stored: str, name: str) -> NodeProto:
    return helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT)


def _product(codes: str, scale: str, name: str) -> list[NodeProto]:
    both = f"{codes}.float", f"{scale}.float"
    casts = map(_float32, (codes, scale), both)
    return [*casts, helper.make_node("Mul", both, [name])]
