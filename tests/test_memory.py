"""Drawing many glyphs takes the memory of drawing some, and draws the same."""

import os
import sys

from conftest import SCRIPTS

from diffusion.benchmark.timing import run_process

MANY = int(os.environ.get("GLYPHS", 1000))  # 10,000 take some minutes


def test_memory_does_not_grow_with_the_number_of_glyphs(tiny_model_folder, tmp_path):
    options = ["--steps=1", "--guidance=1", "--device=cpu", f"--model={tiny_model_folder}"]
    draw = [sys.executable, str(SCRIPTS / "generate.py"), "gold", *options]
    some = run_process([*draw, "--count=100", "--out=some/"], tmp_path)["peak_mb"]
    many = run_process([*draw, f"--count={MANY}", "--out=many/"], tmp_path)["peak_mb"]
    assert len(list((tmp_path / "many").iterdir())) == MANY
    assert many < 1.1 * some
    for path in (tmp_path / "some").iterdir():  # of another process, and another call
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()
