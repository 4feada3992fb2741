"""Drawing many glyphs takes the memory of drawing some, and draws the same."""

import os
from pathlib import Path

import pytest

SOME = 400  # as many as the contact sheet and the page show
MANY = int(os.environ.get("GLYPHS", 1000))  # 10,000 take some minutes
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mb():
    """The most memory that this process has held since it was last asked."""
    peak = int(STATUS.read_text().split("VmHWM:")[1].split()[0]) / 1024
    RESET.write_text("5")
    return peak


@pytest.mark.skipif(not RESET.exists(), reason="asks Linux")
def test_memory_does_not_grow_with_the_number_of_glyphs(script, tiny_model_folder):
    options = [
        "--steps=1",
        "--guidance=1",
        "--redraws=0",
        "--device=cpu",
        f"--model={tiny_model_folder}",
    ]
    for folder, count in (("warm", 50), ("some", SOME)):
        peak_mb()
        command = "generate.py", "gold", *options, f"--count={count}", f"--out={folder}/"
        assert script(*command).code == 0
    some = peak_mb()
    assert script("generate.py", "gold", *options, f"--count={MANY}", "--out=many/").code == 0
    assert len(list(Path("many").glob("[0-9]*"))) == MANY
    # In float32 a glyph is 66 kB, and what is known of it some 20; runs differ by 10 MB.
    assert peak_mb() < some + 0.05 * (MANY - SOME)
    for path in Path("some").glob("[0-9]*"):
        assert path.read_bytes() == (Path("many") / path.name).read_bytes()
