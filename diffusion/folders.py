"""Models and folders: what a pipeline is read from, and what it writes."""

from __future__ import annotations

from pathlib import Path

from autoencoder import Autoencoder
from autoencoder.pretrained import WeightsError, read_model
from autoencoder.readers.recognizer import Recognizer
from conditioning import TextEncoder
from diffusion.networks.base import Denoiser
from diffusion.networks.dit import DiT
from diffusion.networks.unet import UNet
from diffusion.prior import RadicalPrior

DENOISERS: dict[str, type[Denoiser]] = {"dit": DiT, "unet": UNet}
Parts = tuple[Autoencoder, TextEncoder, Denoiser, RadicalPrior | None, Recognizer | None]


def load_parts(folder: str | Path) -> Parts:
    """The denoiser of a folder, and the other parts: from folders in there, or those that ship.

    Raises WeightsError, a ValueError, where the folder holds no model, a damaged one, or one that
    was trained with other encoders than it finds.
    """
    folder = Path(folder)
    denoiser = load_denoiser(folder)
    encoders = []
    for name, kind in (("autoencoder", Autoencoder), ("text_encoder", TextEncoder)):
        own = folder / name
        encoder = kind.from_pretrained(own if own.is_dir() else None)
        if getattr(denoiser.config, name) not in ("", encoder.fingerprint):
            raise WeightsError(
                f"the denoiser in {folder} was trained with another {name} than this one: "
                f"put that into {own}, or train again"
            )
        encoders.append(encoder)
    autoencoder, text_encoder = encoders
    prior = load_prior(folder, text_encoder)
    return autoencoder, text_encoder, denoiser, prior, load_recognizer(folder, autoencoder)


def load_denoiser(folder: str | Path) -> Denoiser:
    """The denoiser of a folder, of the kind that its settings are those of, in evaluation mode.

    Raises WeightsError where there is none, or a damaged one.
    """
    return read_model(folder, *DENOISERS.values())


def load_prior(folder: Path, text_encoder: TextEncoder) -> RadicalPrior | None:
    """The prior in the folder of a denoiser, or the one that ships; None where neither fits.

    Raises WeightsError for a damaged one, and for one in the folder that reads another encoder.
    """
    own = folder / "prior"
    if not own.is_dir() and not RadicalPrior.bundled.is_dir():
        return None
    prior = RadicalPrior.from_pretrained(own if own.is_dir() else None)
    if prior.config.text_encoder == text_encoder.fingerprint:
        return prior
    if own.is_dir():
        raise WeightsError(
            f"the prior in {own} was trained with another text encoder: train it again, "
            f"python scripts/train_prior.py --model {folder}"
        )
    return None


def load_recognizer(folder: Path, autoencoder: Autoencoder) -> Recognizer | None:
    """The recogniser in the folder of a denoiser, or the one that ships; None where neither fits.

    Raises WeightsError for a damaged one, and for one in the folder that takes glyphs of another
    size than are drawn.
    """
    own = folder / "recognizer"
    if not own.is_dir() and not Recognizer.bundled.is_dir():
        return None
    recognizer = Recognizer.from_pretrained(own if own.is_dir() else None)
    if recognizer.config.image_size == autoencoder.config.image_size:
        return recognizer
    if own.is_dir():
        raise WeightsError(
            f"the recogniser in {own} takes glyphs of another size than are drawn: train it again, "
            f"python scripts/train_recognizer.py --model.out {own}"
        )
    return None


def save_parts(
    folder: str | Path,
    autoencoder: Autoencoder,
    text_encoder: TextEncoder,
    denoiser: Denoiser,
    prior: RadicalPrior | None,
    recognizer: Recognizer | None,
) -> Path:
    """Writes a denoiser to a folder, and into it the other parts that do not ship."""
    folder = Path(folder)
    parts = {
        "autoencoder": autoencoder,
        "text_encoder": text_encoder,
        "prior": prior,
        "recognizer": recognizer,
    }
    for name, part in parts.items():
        own = folder / name  # where it exists, it is from another run
        if part is not None and (own.is_dir() or not _ships(part)):
            part.save_pretrained(own)
    return denoiser.save_pretrained(folder)


def _ships(part: Autoencoder | TextEncoder | RadicalPrior | Recognizer) -> bool:
    """Whether it is the one that ships, in every weight and not only in what fingerprints see."""
    try:
        shipped = type(part).from_pretrained()
    except (OSError, ValueError):
        return False  # nothing ships with this copy
    pairs = zip(part.parameters(), shipped.parameters(), strict=False)
    return part.fingerprint == shipped.fingerprint and all(
        a.cpu().half().equal(b.half()) for a, b in pairs
    )
