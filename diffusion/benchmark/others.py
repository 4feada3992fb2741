"""The networks of others, from diffusers, which is imported only when one of them is made."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from diffusion.benchmark.timing import random, untrained
from diffusion.benchmark.training import WORDS, Training
from diffusion.networks.dit import DiTConfig
from diffusion.networks.unet import GROUPS, UNetConfig
from diffusion.request import GUIDANCE

EXTRA = "pip install -e '.[benchmark]'"

# The glyffuser's conditional network as its article lists it; the notebook that goes with it,
# "glyffuser conditional.ipynb" of https://github.com/yue-here/glyffuser, has all but the text
# encoder's width in common with it. 50 steps are what the article draws with, its guidance predicts
# twice a step, and the notebook's solver is diffusers' DPM-Solver++(2M) as it comes.
ARTICLE = "https://yue-here.com/posts/glyffuser/"
ARTICLE_STEPS = 50
ARTICLE_UNET = {
    "sample_size": 128,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": 2,
    "block_out_channels": (128, 256, 512, 512),
    "addition_embed_type": "text",
    "cross_attention_dim": 512,
    "encoder_hid_dim": 512,
    "encoder_hid_dim_type": "text_proj",
    "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
}
# Stable Diffusion 1's (Rombach et al. 2022, https://arxiv.org/abs/2112.10752).
AUTOENCODER_KL = {
    "layers_per_block": 2,
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def why_no_diffusers() -> str | None:
    """None where diffusers can be used; else why not and what to do, in one line."""
    try:
        import diffusers  # noqa: F401
        from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401
    except ModuleNotFoundError as error:
        return f"{error.name or 'diffusers'} is not installed: {EXTRA}"
    except (ImportError, RuntimeError) as error:
        return f"diffusers does not load ({str(error).strip().splitlines()[0]}): {EXTRA}"
    return None


class PixArt(nn.Module):
    """diffusers' nearest relative of a `DiT`, of the same size and behind the same call.

    PixArt-α's transformer (Chen et al. 2023, https://arxiv.org/abs/2310.00426): its blocks attend
    to the grid and to the words, and share one modulation.
    """

    def __init__(self, config: DiTConfig) -> None:
        from diffusers import PixArtTransformer2DModel

        super().__init__()
        self.network = PixArtTransformer2DModel(
            num_attention_heads=config.width // config.head_width,
            attention_head_dim=config.head_width,
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            num_layers=config.depth,
            sample_size=config.latent_size,
            patch_size=config.patch_size,
            cross_attention_dim=config.width,
            caption_channels=config.text_width,
            norm_type="ada_norm_single",
            use_additional_conditions=False,
        )

    def forward(self, x_t: Tensor, t: Tensor, embedding: Tensor, mask: Tensor) -> Tensor:
        return self.network(x_t, embedding, 1000 * t, encoder_attention_mask=mask).sample


class LatentUNet(nn.Module):
    """diffusers' nearest relative of a `UNet`, of the same widths and behind the same call.

    Stable Diffusion's network (Rombach et al. 2022), small. Its way up has one block more at each
    resolution than its way down, so it gets one less; what it has besides attention in a block
    still makes it a quarter larger.
    """

    def __init__(self, config: UNetConfig) -> None:
        from diffusers import UNet2DConditionModel

        super().__init__()
        levels = len(config.widths)
        self.network = UNet2DConditionModel(
            sample_size=config.latent_size,
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            block_out_channels=config.widths,
            layers_per_block=max(1, config.blocks - 1),
            down_block_types=("CrossAttnDownBlock2D",) * levels,
            up_block_types=("CrossAttnUpBlock2D",) * levels,
            cross_attention_dim=config.text_width,
            # It is their number, whatever it is called.
            attention_head_dim=tuple(width // config.head_width for width in config.widths),
            norm_num_groups=GROUPS,
        )

    def forward(self, x_t: Tensor, t: Tensor, embedding: Tensor, mask: Tensor) -> Tensor:
        return self.network(x_t, 1000 * t, embedding, encoder_attention_mask=mask).sample


# By our settings, what diffusers has of the kind.
RELATIVES = {DiTConfig: PixArt, UNetConfig: LatentUNet}


def autoencoders(
    glyphs: Tensor,
) -> dict[str, tuple[nn.Module, Callable[[], Tensor], Callable[[], Tensor]]]:
    """Stable Diffusion's autoencoder and TAESD, which stands in for it.

    Each with a call that encodes the glyphs, `(B, 1, H, W)` in [0, 1], as the three colours that it
    knows, and one that decodes them.
    """
    from diffusers import AutoencoderKL, AutoencoderTiny

    colours = 2 * glyphs.repeat(1, 3, 1, 1) - 1  # (B, 3, H, W)
    kl = untrained(lambda: AutoencoderKL(**AUTOENCODER_KL), glyphs.device)
    tiny = untrained(AutoencoderTiny, glyphs.device)
    z_kl, z_tiny = kl.encode(colours).latent_dist.mode(), tiny.encode(colours).latents
    return {
        "kl": (kl, lambda: kl.encode(colours).latent_dist.mode(), lambda: kl.decode(z_kl).sample),
        "tiny": (tiny, lambda: tiny.encode(colours).latents, lambda: tiny.decode(z_tiny).sample),
    }


def article_unet() -> nn.Module:
    """The glyffuser's network, which predicts noise in pixels."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(**ARTICLE_UNET)


def article_step(unet: nn.Module, batch: int, device: torch.device) -> Callable[[], Tensor]:
    """A call that takes the next of the article's steps for `batch` glyphs.

    In its favour, the two predictions of a step go in one call.
    """
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler()
    scheduler.set_timesteps(ARTICLE_STEPS, device=device)
    times = iter(scheduler.timesteps)
    size, width = unet.config.sample_size, unet.config.encoder_hid_dim
    x = random(0, batch, unet.config.in_channels, size, size, device=device)
    embedding = random(1, 2 * batch, 8, width, device=device)
    embedding[batch:] = 0  # the article's empty caption
    mask = torch.ones(2 * batch, 8, dtype=torch.bool, device=device)

    def step() -> Tensor:
        nonlocal x
        t = next(times)
        noise = unet(x.repeat(2, 1, 1, 1), t, embedding, encoder_attention_mask=mask).sample
        positive, away = noise.chunk(2)
        guided = away + GUIDANCE * (positive - away)
        x = scheduler.step(guided, t, x).prev_sample
        return x

    return step


def article_training(batch: int, device: torch.device) -> Training:
    """The article's network as its notebook trains it: noise predicted in pixels, AdamW."""
    from diffusers import DDPMScheduler

    unet = untrained(article_unet, device).train()
    size, width = unet.config.sample_size, unet.config.encoder_hid_dim
    glyphs = random(0, batch, unet.config.in_channels, size, size, device=device)
    noise = random(1, *glyphs.shape, device=device)
    embedding = random(2, batch, WORDS, width, device=device)
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    generator = torch.Generator().manual_seed(3)
    t = torch.randint(0, 1000, (batch,), generator=generator).to(device)

    def loss() -> Tensor:
        x_t = scheduler.add_noise(glyphs, noise, t)
        return nn.functional.mse_loss(unet(x_t, t, embedding).sample, noise)

    return Training(unet, torch.optim.AdamW(unet.parameters(), lr=1e-4), loss, batch)
