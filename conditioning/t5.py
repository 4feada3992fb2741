"""The encoder of a T5 in plain PyTorch (Raffel et al. 2020, arXiv:1910.10683).

Modules are named as in transformers' T5EncoderModel, so that each reads the other's weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from math import log
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

TIED = "encoder.embed_tokens.weight"  # the same table as shared.weight, and not saved twice
# How the feed-forward layers are named in config.json; the gated ones are of T5 1.1 and Flan-T5.
ACTIVATIONS = {
    "relu": F.relu,
    "gated-gelu": partial(F.gelu, approximate="tanh"),
    "gated-silu": F.silu,
}


@dataclass(frozen=True)
class T5Config:
    """What the config.json of a T5 says about its encoder, with the defaults of transformers."""

    vocab_size: int = 32_128
    d_model: int = 512  # width D of the embedding
    d_kv: int = 64  # width of a head
    d_ff: int = 2048
    num_layers: int = 6
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "relu"
    eos_token_id: int = 1


class RMSNorm(nn.Module):
    """Scales each token to a mean square of one, then each channel by its weight."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.d_model))
        self.epsilon = config.layer_norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon))


class SelfAttention(nn.Module):
    """Attention of all tokens to all, with a bias by distance; its logits are not scaled."""

    def __init__(self, config: T5Config, has_bias: bool):
        super().__init__()
        self.heads, inner = config.num_heads, config.num_heads * config.d_kv
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if has_bias:  # all layers use that of the first
            buckets = config.relative_attention_num_buckets
            self.relative_attention_bias = _embedding(buckets, config.num_heads)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (
            rearrange(project(x), "b n (h d) -> b h n d", h=self.heads)
            for project in (self.q, self.k, self.v)
        )
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return self.o(rearrange(x, "b h n d -> b n (h d)"))


class FeedForward(nn.Module):
    """Two linear layers; a gated one multiplies what the activation lets through."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.gated = config.feed_forward_proj.startswith("gated")
        self.activation = ACTIVATIONS[config.feed_forward_proj]
        for name in ("wi_0", "wi_1") if self.gated else ("wi",):
            self.add_module(name, nn.Linear(config.d_model, config.d_ff, bias=False))
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.gated:
            return self.wo(self.activation(self.wi_0(x)) * self.wi_1(x))
        return self.wo(self.activation(self.wi(x)))


class Block(nn.Module):
    """Attention and feed-forward, each on normalised tokens and added to them."""

    def __init__(self, config: T5Config, has_bias: bool):
        super().__init__()
        attention = {
            "SelfAttention": SelfAttention(config, has_bias),
            "layer_norm": RMSNorm(config),
        }
        feed_forward = {"DenseReluDense": FeedForward(config), "layer_norm": RMSNorm(config)}
        self.layer = nn.ModuleList([nn.ModuleDict(attention), nn.ModuleDict(feed_forward)])

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        attention, feed_forward = self.layer
        x = x + attention["SelfAttention"](attention["layer_norm"](x), bias)
        return x + feed_forward["DenseReluDense"](feed_forward["layer_norm"](x))


class T5Encoder(nn.Module):
    """The encoder half of a T5, without dropout."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.config = config
        self.shared = _embedding(config.vocab_size, config.d_model)
        blocks = nn.ModuleList(Block(config, i == 0) for i in range(config.num_layers))
        self.encoder = nn.ModuleDict({"embed_tokens": self.shared, "block": blocks})
        self.encoder["final_layer_norm"] = RMSNorm(config)
        if not self.shared.weight.is_meta:
            self.initialize_weights()

    @torch.no_grad()
    def initialize_weights(self) -> None:
        """Random weights, as every T5 starts with; those of the norms stay one."""
        self.shared.weight.normal_()
        for name, weight in self.encoder["block"].named_parameters():
            if name.endswith((".o.weight", ".wo.weight")):
                weight.normal_(std=weight.shape[1] ** -0.5)
            elif not name.endswith("layer_norm.weight"):
                weight.normal_(std=self.config.d_model**-0.5)
            if name.endswith(".q.weight"):  # in place of scaled logits
                weight *= self.config.d_kv**-0.5

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids `(B, N)` and their mask `(B, N)`, True at a real token, to `(B, N, D)`."""
        blocks = self.encoder["block"]
        buckets = relative_buckets(ids.shape[1], self.config).to(ids.device)
        bias = blocks[0].layer[0]["SelfAttention"].relative_attention_bias(buckets)  # (N, N, H)
        bias = rearrange(bias, "q k h -> 1 h q k")
        bias = bias.masked_fill(~rearrange(mask, "b k -> b 1 1 k"), -torch.inf)  # (B, H, N, N)
        x = self.shared(ids)  # (B, N, D)
        for block in blocks:
            x = block(x, bias)
        return self.encoder["final_layer_norm"](x)


def relative_buckets(length: int, config: T5Config) -> Tensor:
    """The row of the bias for each query and key, `(N, N)`.

    Half of the rows are for keys behind the query. In each half, one half of the rows is a distance
    each, and the other is steps of equal ratio up to the maximum distance.
    """
    place = torch.arange(length)
    offset = place - rearrange(place, "n -> n 1")
    distance = offset.abs()
    half = config.relative_attention_num_buckets // 2
    exact = half // 2
    ratio = log(config.relative_attention_max_distance / exact)
    far = exact + (torch.log(distance.clamp_min(1) / exact) / ratio * (half - exact)).long()
    return torch.where(distance < exact, distance, far.clamp_max(half - 1)) + half * (offset > 0)


def check_config(settings: Mapping[str, Any]) -> None:
    """Raises ValueError for a config.json that is not of a T5, or of one unknown here."""
    if settings.get("model_type") != "t5":
        raise ValueError(f"it is of type {settings.get('model_type')!r}, not a T5")
    if (kind := settings.get("feed_forward_proj", "relu")) not in ACTIVATIONS:
        raise ValueError(f"its feed-forward layers are {kind!r}, not {', '.join(ACTIVATIONS)}")


def load_t5(settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> T5Encoder:
    """The encoder of a config.json and the weights beside it, which may hold a decoder too.

    Raises ValueError for another model, and for weights that are missing or of another shape.
    """
    check_config(settings)
    names = [field.name for field in fields(T5Config) if field.name in settings]
    config = T5Config(**{name: settings[name] for name in names})
    with torch.device("meta"):  # no memory, no random numbers
        model = T5Encoder(config)
    expected = model.state_dict()
    weights = {TIED: weights.get("shared.weight"), **weights}
    if absent := sorted(name for name in expected if weights.get(name) is None):
        raise ValueError(f"its weights lack {', '.join(absent[:3])}")
    if other := [name for name in expected if weights[name].shape != expected[name].shape]:
        raise ValueError(f"its {other[0]} is not of the size that its settings say")
    model.load_state_dict({name: weights[name].float() for name in expected}, assign=True)
    return model


def _embedding(size: int, dim: int) -> nn.Embedding:
    """An embedding yet to be filled: doing so on the "meta" device would import torch._dynamo."""
    return nn.Embedding.from_pretrained(torch.empty(size, dim), freeze=False)
