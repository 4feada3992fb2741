"""Denoisers by name, until the trainings read them themselves."""

from pathlib import Path

from autoencoder.pretrained import read_model
from diffusion.networks.base import Denoiser
from diffusion.networks.dit import DiT
from diffusion.networks.unet import UNet

DENOISERS: dict[str, type[Denoiser]] = {"dit": DiT, "unet": UNet}


def load_denoiser(folder: str | Path) -> Denoiser:
    """The denoiser of a folder. Raises WeightsError where there is none, or a damaged one."""
    return read_model(folder, DiT, UNet)
