"""Export a model to where there is no PyTorch: ONNX files with a runner, or a web page."""

from __future__ import annotations

from importlib.util import find_spec
from time import perf_counter
from typing import Annotated

from _cli import Model, Overwrite, load_pipeline, output_folder, run
from typer import Option

from diffusion.request import BUNDLED, check_model

NEEDED = "onnx", "onnxscript", "onnxruntime"


def onnx(
    out: Annotated[
        str | None, Option("--out", "-o", help="The folder to write.", show_default="onnx")
    ] = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
) -> None:
    """Write a folder that draws without PyTorch, in ONNX, with a program of its own.

    Takes about three minutes, after `pip install ".[export]"`. Then, anywhere:

        pip install onnxruntime numpy tokenizers pillow
        python onnx/draw.py "gold"

    It prints each network's size, and the largest difference of its output from
    that of PyTorch.
    """
    check_model(model)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ValueError(f'exporting needs {", ".join(missing)}: pip install ".[export]"')
    folder = output_folder(out, "onnx", overwrite)
    began = perf_counter()
    from diffusion.export import export_onnx

    def said(name: str, size: int, difference: float) -> None:
        print(f"{name:>13} {size / 1e6:5.1f} MB, differs by {difference:.1e} at most", flush=True)

    manifest = export_onnx(load_pipeline(model, "cpu"), folder, said)
    size = sum(file["bytes"] for file in manifest["files"].values())
    print(f"wrote {folder}: {size / 1e6:.1f} MB in {perf_counter() - began:.0f} s")


def page() -> None:
    """Write a web page that draws in the browser."""
    raise ValueError("no page yet")


if __name__ == "__main__":
    run(onnx, page, about=__doc__)
