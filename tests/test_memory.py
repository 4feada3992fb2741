"""Drawing many glyphs takes the memory of drawing some, and draws the same."""

import os
from pathlib import Path

import pytest

MANY = int(os.environ.get("GLYPHS", 300))  # 10,000 take some minutes
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
    for folder in ("warm", "some"):
        peak_mb()
        assert script("generate.py", "gold", *options, "--count=50", f"--out={folder}/").code == 0
    some = peak_mb()
    assert script("generate.py", "gold", *options, f"--count={MANY}", "--out=many/").code == 0
    assert len(list(Path("many").glob("[0-9]*"))) == MANY
    # In float32 the glyphs that come on top would be 16 MB, and 4 as images.
    assert peak_mb() < some + 10
    for path in Path("some").glob("[0-9]*"):
        assert path.read_bytes() == (Path("many") / path.name).read_bytes()
