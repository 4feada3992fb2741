"""Draw Chinese characters that nobody has written, from English. Needs no PyTorch.

`Model.draw` has all steps in order: words to a radical and a part, their outlines to a sketch, that
to latents, these with noise to latents of a character, and those to a glyph.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import warnings
from collections import Counter, namedtuple
from functools import cache
from hashlib import sha256
from itertools import pairwise
from math import ceil, log, log2
from pathlib import Path
from types import SimpleNamespace

try:
    import numpy as np
    from choices import AUTO, NONE, Ask, Chooser  # beside this file, as the next three
    from onnxruntime import InferenceSession, SessionOptions
    from philox import Philox, Stream
    from PIL import Image
    from prompts import LAYOUTS
    from sketches import Sketcher, read_pieces
    from tokenizers import Tokenizer
except ImportError as error:
    sys.exit(f"error: {error}: pip install onnxruntime numpy tokenizers pillow")

EXAMPLE = 'example: python draw.py "sea monster; part ghost" --count 4 --seed 7 --out sea.png'
MARGIN, MOST = 8, 4096  # pixels between glyphs, and glyphs on a sheet
Glyph = namedtuple("Glyph", "image made nearest exists redrawn")


class Model:
    """The networks and tables of an exported folder."""

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        self.folder, self.files = folder, manifest["files"]
        self.settings = SimpleNamespace(**manifest["settings"])
        self.tables = json.loads((folder / "tables.json").read_text("utf-8"))
        outlines = gzip.decompress((folder / "outlines.tsv.gz").read_bytes()).decode()
        self.sketcher = Sketcher(read_pieces(outlines))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        options = SessionOptions()  # threads that spin are in the way of others on few cores
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.network = cache(lambda name: InferenceSession(folder / f"{name}.onnx", options))
        self.embed = cache(self.embed)
        prior = self.prior if "prior.onnx" in self.files else None
        self.chooser = Chooser(self.tables, self.settings, self.sketcher, prior)

    def draw(self, ask: Ask, seed: int, guidance: float | None = None) -> Glyph:
        """The glyph of a seed. Raises ValueError, in one line, for what cannot be drawn."""
        attempt, redrawn, settings = seed, 0, self.settings
        while True:
            made, time = self.chooser.invent(ask, seed, attempt), 1.0
            noise = Philox(attempt, Stream.NOISE).standard_normal((1, *settings.latent))
            x = noise.astype(np.float32)
            if made.way:
                proportions, time = Philox(attempt, Stream.PROPORTIONS), settings.composed
                sketch = self.sketcher.sketch(*made.way[:3], proportions, settings.image_size)
                x = (1 - time) * self.call("encoder", glyph=sketch[None, None]) + time * x
            glyph = self.call("decoder", latent=self.denoise(x, time, made.caption, guidance))
            nearest, exists = self.nearest(glyph)
            if not exists or made.fixed or redrawn == settings.redraws:
                pixels = (255 * (1 - glyph[0, 0].clip(0, 1))).round().astype(np.uint8)
                return Glyph(Image.fromarray(pixels), made, nearest, exists, redrawn)
            high, low = Philox(attempt, Stream.ATTEMPT).integers(2).tolist()
            attempt, redrawn = (high << 32 | low) >> 1, redrawn + 1

    def denoise(self, x: np.ndarray, time: float, caption: str, guidance: float | None):
        """Latents `(1, 8, 8, 8)` at a time, where 1 is noise, to those of a character."""
        words = [self.embed(text) for text in self.chooser.parse(caption).texts]
        words, shaped = np.concatenate(words, axis=1), time <= self.settings.composed
        scale = guidance if guidance is not None else 1.0 if shaped else self.settings.guidance
        if "student.onnx" in self.files:
            calls = 2 ** max(0, round(log2(self.settings.calls * time)))
            for t, s in pairwise(np.linspace(time, 0, calls + 1).tolist()):
                x = x - (t - s) * self.predict("student", x, t, words, length=t - s, scale=scale)
            return x
        steps, last = ceil(self.settings.steps * time), None
        steps = min(steps, self.settings.repairs) if shaped else steps
        for t, s in pairwise(np.linspace(time, 0, steps + 1).tolist()):
            velocity = self.predict("denoiser", x, t, words)
            if scale != 1:
                nothing = self.predict("denoiser", x, t, self.embed(""))
                velocity = nothing + scale * (velocity - nothing)
            x_0 = straighter = x - t * velocity
            if last and s > 0:  # DPM-Solver++(2M), on log(alpha / sigma)
                now, goal = log((1 - t) / t), log((1 - s) / s)
                straighter = x_0 + (goal - now) / (2 * (now - last[0])) * (x_0 - last[1])
            last = (log((1 - t) / t), x_0) if t < 1 else None
            x = s / t * x + (1 - s / t) * straighter
        return x

    def predict(self, name: str, x: np.ndarray, t: float, words: np.ndarray, **more: float):
        """The velocity at a time."""
        numbers = {name: np.array([n], np.float32) for name, n in {"t": t, **more}.items()}
        mask = np.ones(words.shape[:2], bool)
        return self.call(name, x_t=x, embedding=words, mask=mask, **numbers)

    def nearest(self, glyph: np.ndarray) -> tuple[str, bool]:
        """The known character that a glyph is most like, and whether it is that one."""
        if "recognizer.onnx" not in self.files:
            return "", False
        embedding = self.call("recognizer", glyph=glyph)[0]
        known = np.fromfile(self.folder / "characters.bin", np.int8).reshape(-1, len(embedding))
        likeness = known @ embedding / np.linalg.norm(known.astype(np.float32), axis=1)
        most = int(likeness.argmax())
        return self.tables["characters"][most], bool(likeness[most] >= self.settings.threshold)

    def prior(self, words: str) -> np.ndarray:
        """The logits of the radicals for words, `(214,)`."""
        return self.call("prior", pooled=self.embed(words).mean(axis=1))[0]

    def embed(self, text: str) -> np.ndarray:
        """The embedding of a text, `(1, N, 384)`."""
        code, unknown = self.tokenizer.encode(text), self.tokenizer.token_to_id("<unk>")
        places = zip(code.ids, code.offsets, strict=True)
        if lost := [text[first:last] for one, (first, last) in places if one == unknown]:
            warnings.warn(f"ignored, as the model reads English: {' '.join(lost)}", stacklevel=2)
        most, end = self.settings.max_tokens - 1, [self.settings.end]
        ids = code.ids[:-1] if code.ids[-1:] == end else code.ids
        if len(ids) > most:
            warnings.warn(f"only the first {most} tokens of the prompt are read", stacklevel=2)
        ids = np.array([ids[:most] + end])
        return self.call("text_encoder", ids=ids, mask=np.ones(ids.shape, bool))

    def call(self, name: str, **inputs: np.ndarray) -> np.ndarray:
        return self.network(name).run(None, inputs)[0]


def sheet(images: list[Image.Image]) -> Image.Image:
    """Glyphs on one white sheet, no taller than wide."""
    across = next(n for n in range(1, len(images) + 1) if n >= ceil(len(images) / n))
    cell = images[0].width + MARGIN
    down = ceil(len(images) / across)
    paper = Image.new("L", (MARGIN + across * cell, MARGIN + down * cell), "white")
    for i, image in enumerate(images):
        paper.paste(image, (MARGIN + i % across * cell, MARGIN + i // across * cell))
    return paper


def main(folder: Path) -> None:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.formatter_class, parser.error = argparse.RawDescriptionHelpFormatter, stop
    add = parser.add_argument
    add("prompt", nargs="?", default="", help="what to draw, in quotes")
    add("-n", "--count", type=int, default=16, help="glyphs, by default 16")
    add("-s", "--seed", type=int, default=0, help="of the first glyph; each next one adds 1")
    add("--radical", default=AUTO, help="auto, none, or a name, form or number: speech, 言, 149")
    add("--part", default=AUTO, help="what stands beside it: 里, or its meaning; or auto, none")
    add("--sound", default="", help="or how that is read, in Pinyin: luo, luó or luo2")
    add("--layout", default=NONE, help=f"{', '.join(LAYOUTS)}, or none, which is open")
    add("--guidance", type=float, help="by the words, 1 plainly: 4 from noise, 1 from parts")
    add("-o", "--out", type=Path, help="a PNG, by default named as the prompt; it is replaced")
    args = parser.parse_args()
    model = Model(folder)
    ask = model.chooser.ask(args.prompt, args.radical, args.part, args.sound, args.layout)
    if not 1 <= args.count <= MOST or not 0 <= args.seed <= 2**63 - args.count:
        raise ValueError(f"take 1 to {MOST:,} glyphs, and seeds from 0 to 2^63 - 1")
    low, high = model.settings.guidances
    if args.guidance is not None and not low <= args.guidance <= high:
        raise ValueError(f"guidance of {args.guidance}: take {low:g} to {high:g}")
    out = args.out or Path(re.sub(r"[\W_]+", "-", ask.prompt.lower())[:60].strip("-") + ".png")
    if out.suffix.lower() != ".png" or not out.parent.is_dir():
        raise ValueError(f"cannot write {out}: name a .png in a folder that is there")
    glyphs = [model.draw(ask, args.seed + i, args.guidance) for i in range(args.count)]
    for words, times in Counter(str(glyph.made) for glyph in glyphs).most_common(12):
        print(f"{times:>4} × {words}")
    sheet([glyph.image for glyph in glyphs]).save(part := out.with_name(f".{out.name}"), "PNG")
    print(f"wrote {part.replace(out)}: {args.count} glyphs")


def stop(message: object) -> None:
    sys.exit(print(f"error: {message}", file=sys.stderr) or 2)


if __name__ == "__main__":
    here = Path(__file__).parent
    warnings.showwarning = lambda text, *_: print(f"warning: {text}", file=sys.stderr)
    try:
        main(here)
    except Exception as error:
        try:
            files = json.loads((here / "manifest.json").read_text("utf-8"))["files"]
            whole = {name: sha256((here / name).read_bytes()).hexdigest() for name in files}
            bad = [name for name in files if whole[name] != files[name]["sha256"]]
        except (OSError, ValueError) as missing:
            bad = [missing]
        if not bad and not isinstance(error, ValueError | OSError):
            raise
        stop(f"{bad[0]} is missing or damaged: copy or export the folder again" if bad else error)
