"""Drawing many glyphs takes the memory of drawing some, and draws the same."""

import os
from pathlib import Path

import pytest

SOME = 400  # as many as the contact sheet and the page show
MANY = int(os.environ.get("GLYPHS", 700))  # 10,000 take some minutes
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
    # In float32 the 300 glyphs on top would be 20 MB; what is known of one is some 20 kB.
    assert peak_mb() < some + 10 + 0.02 * (MANY - SOME)
    for path in Path("some").glob("[0-9]*"):
        assert path.read_bytes() == (Path("many") / path.name).read_bytes()
