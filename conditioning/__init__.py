"""Words: captions in, T5 embeddings and their mask out.

`TextEncoder` is imported on first use, so that reading captions does not cost an import of torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conditioning.encoder import TextEncoder

__all__ = ["TextEncoder"]


def __getattr__(name: str) -> Any:
    if name == "TextEncoder":
        from conditioning.encoder import TextEncoder

        return TextEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
