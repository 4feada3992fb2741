"""Export a model to where there is no PyTorch: ONNX files with a runner, or a web page."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Annotated

from _cli import Model, Overwrite, load_pipeline, output_file, output_folder, run
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
    check_exporting(model)
    folder = output_folder(out, "onnx", overwrite)
    began = perf_counter()
    from diffusion.export import export_onnx

    def said(name: str, size: int, difference: float) -> None:
        print(f"{name:>13} {size / 1e6:5.1f} MB, differs by {difference:.1e} at most", flush=True)

    manifest = export_onnx(load_pipeline(model, "cpu"), folder, said)
    size = sum(file["bytes"] for file in manifest["files"].values())
    print(f"wrote {folder}: {size / 1e6:.1f} MB in {perf_counter() - began:.0f} s")


def page(
    out: Annotated[
        str | None,
        Option("--out", "-o", help="What to write.", show_default="site, or tianshu.html"),
    ] = None,
    single_file: Annotated[
        bool, Option("--single-file", help="One HTML file, which opens from disk.")
    ] = False,
    onnx: Annotated[
        Path | None,
        Option(help="A folder that export.py onnx wrote.", show_default="exports the model"),
    ] = None,
    overwrite: Overwrite = False,
    model: Model = BUNDLED,
) -> None:
    """Write a web page that draws in the browser: a folder for any web server.

    Needs node 20 or later. To look at it here:

        python -m http.server --directory site
    """
    from diffusion.export import MANIFEST, export_onnx
    from diffusion.export.page import build_page, check_node

    check_node()
    if onnx and not (onnx / MANIFEST).exists():
        raise FileNotFoundError(f"no {MANIFEST} in {onnx}: name a folder that export.py onnx wrote")
    if not onnx:
        check_exporting(model)
    if single_file:
        target = output_file(out, "tianshu.html", (".html",), overwrite)
    else:
        target = output_folder(out, "site", overwrite)
        if (target / "index.html").exists() and not overwrite:
            raise FileExistsError(f"{target} holds a page already: --overwrite replaces it")
    with tempfile.TemporaryDirectory() as folder:
        if not onnx:
            onnx = Path(folder)
            export_onnx(load_pipeline(model, "cpu"), onnx)
        build_page(onnx, target, single_file)
    files = [target] if single_file else target.rglob("*")
    size = sum(path.stat().st_size for path in files if path.is_file())
    print(f"wrote {target}: {size / 1e6:.1f} MB")


def check_exporting(model: Path) -> None:
    """Raises ValueError or OSError, in one line, where a model cannot be exported."""
    check_model(model)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ValueError(f'exporting needs {", ".join(missing)}: pip install ".[export]"')


if __name__ == "__main__":
    run(onnx, page, about=__doc__)
