"""Files that a disk, a copy or a stranger has changed: one clear line, or what they were."""

import json
import random
from pathlib import Path
from shutil import copytree

import pytest
import torch

from diffusion import GlyphPipeline

COUNT = 200
ODD = [None, True, -1, 0, 1, 7, 1e300, 10**30, float("nan"), "", "../../etc", "os.system", [], {}]


def mutated(data, count=COUNT, seed=0):
    """The bytes of a file, damaged in as many ways."""
    dice = random.Random(seed)
    for _ in range(count):
        at, length = dice.randrange(len(data)), dice.randrange(1, 64)
        head, piece, rest = data[:at], data[at : at + length], data[at + length :]
        flipped = bytes([piece[0] ^ 1 << dice.randrange(8)]) + piece[1:]
        noise = dice.randbytes(length)
        yield dice.choice(
            [
                head + flipped + rest,
                head + noise + rest,
                head + bytes(length) + rest,
                head + piece + piece + rest,
                head + rest,
                head,
                noise,
            ]
        )


def mutated_json(data, count=COUNT, seed=0):
    """A JSON file in which one value, at any depth, is another, gone, or joined by another."""
    dice = random.Random(seed)

    def places(value, path=()):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield (*path, key)
            if isinstance(inner, dict | list):
                yield from places(inner, (*path, key))

    every = list(places(json.loads(data)))
    for _ in range(count):
        value = json.loads(data)
        *path, key = dice.choice(every)
        holder = value
        for step in path:
            holder = holder[step]
        change = dice.randrange(4)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, dict):
            holder["_" + str(key)] = dice.choice(ODD)
        elif isinstance(holder[key], int | float) and change == 2:
            holder[key] = dice.choice([holder[key] + 1, -holder[key], holder[key] * 1000])
        else:
            holder[key] = dice.choice(ODD)
        yield json.dumps(value).encode()


def all_of(pipeline):
    """What tells one pipeline from another, and the weights of the decoder, which do not."""
    parts = pipeline.denoiser, pipeline.autoencoder, pipeline.text_encoder
    weights = torch.cat([weight.flatten() for weight in pipeline.autoencoder.parameters()])
    return [part.fingerprint for part in parts], weights.tolist()


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors",
        "autoencoder/config.json",
        "autoencoder/model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "text_encoder/tokenizer.json",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_model_is_one_line_and_never_another_model(tiny_model_folder, tmp_path, name):
    folder = Path(copytree(tiny_model_folder, tmp_path / "model"))
    whole = all_of(GlyphPipeline.from_pretrained(folder))
    path = folder / name
    data = path.read_bytes()
    damaged = list(mutated(data))
    if name.endswith(".json"):
        damaged += mutated_json(data)
    refused = 0
    for change in damaged:
        path.write_bytes(change)
        try:
            found = GlyphPipeline.from_pretrained(folder)
        except (ValueError, OSError) as error:
            assert "\n" not in str(error), change
            refused += 1
        else:
            assert all_of(found) == whole, change
    assert refused > 0.3 * len(damaged)
