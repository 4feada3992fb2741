"""Options that mean the same to every command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    Path,
    typer.Option(help="A folder that train_diffusion.py wrote.", show_default="the one that ships"),
]
Device = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:1 or mps; auto is CUDA where there is one.")
]
Asked = Annotated[str, typer.Argument(help="What to draw.")]
PictureOut = Annotated[
    Path | None, typer.Option(help="A .png.", show_default="named after what is asked")
]
Data = Annotated[Path, typer.Option(help="The glyphs that prepare_data.py drew.")]
Seed = Annotated[int, typer.Option(help="Seed of the first glyph; each next one adds 1.")]
NoiseSeed = Annotated[int, typer.Option(help="Seed of the noise that all glyphs share.")]
Steps = Annotated[
    int, typer.Option(help="Calls of the network, 1 to 1000: more are finer and slower.")
]
Guidance = Annotated[
    float,
    typer.Option(help="How hard to follow the words: 1 plainly, more harder, 0 not at all."),
]
