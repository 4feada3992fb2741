"""The autoencoder's blocks: identities, mirrors, and what a position may know of others."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autoencoder.blocks import ChannelNorm, DepthwiseConv, Down, ResidualBlock, Up


@pytest.fixture
def image():
    return torch.randn(2, 4, 12, 8, generator=torch.Generator().manual_seed(0))


def pass_through(layer):
    """Makes the convolution of a `Down` or an `Up` the identity."""
    with torch.no_grad():
        layer.conv.weight.copy_(torch.eye(layer.conv.weight.shape[0])[:, :, None, None])
        layer.conv.bias.zero_()
    return layer


def test_channel_norm_is_rms_norm_of_each_position(image):
    norm, reference = ChannelNorm(4), nn.RMSNorm(4, eps=1e-6)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -1.0, 0.5]))
        reference.weight.copy_(norm.weight)
    truth = reference(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(norm(image), truth)
    torch.testing.assert_close(norm(1000 * image), norm(image), atol=1e-4, rtol=0)
    assert norm(torch.zeros(1, 4, 2, 2)).isfinite().all()


def test_down_keeps_every_pixel_in_the_order_of_pixel_unshuffle(image):
    torch.testing.assert_close(pass_through(Down(4, 16))(image), F.pixel_unshuffle(image, 2))
    torch.testing.assert_close(pass_through(Down(4, 64, 4))(image), F.pixel_unshuffle(image, 4))


@pytest.mark.parametrize("factor", [2, 4])
def test_up_undoes_down(image, factor):
    down = pass_through(Down(4, 4 * factor**2, factor))
    up = pass_through(Up(4 * factor**2, 4, factor))
    assert down(image).shape == (2, 4 * factor**2, 12 // factor, 8 // factor)
    assert up(down(image)).equal(image)


def test_a_depthwise_convolution_is_each_channels_own_and_full_in_precision(image):
    conv = DepthwiseConv(4, 5)
    alone = [F.conv2d(image[:, [i]], conv.weight[[i]], conv.bias[[i]], padding=2) for i in range(4)]
    torch.testing.assert_close(conv(image), torch.cat(alone, dim=1))
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(image).equal(conv(image.float()))
        assert conv(image).dtype == torch.float32
    half = conv.bfloat16()(image.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), torch.cat(alone, dim=1), atol=0.05, rtol=0.05)


def test_a_residual_block_whose_last_layer_is_zero_is_the_identity(image):
    block = ResidualBlock(4)
    assert not block(image).equal(image)
    with torch.no_grad():
        block.contract.weight.zero_()
        block.contract.bias.zero_()
    assert block(image).equal(image)
    block(image).square().sum().backward()
    assert block.contract.weight.grad.any()  # and yet it can leave it


def test_a_residual_block_sees_its_window_and_no_further():
    block = ResidualBlock(4, kernel=5)
    image = torch.zeros(1, 4, 15, 15)
    touched = image.clone()
    touched[:, :, 7, 7] = 1
    changed = (block(touched) - block(image)).abs().amax(dim=(0, 1)) > 0
    window = torch.zeros(15, 15, dtype=torch.bool)
    window[5:10, 5:10] = True
    assert changed.equal(window)


def test_blocks_move_with_the_image(image):
    for block in (ResidualBlock(4), nn.Sequential(Down(4, 6), ResidualBlock(6), Up(6, 4))):
        there = block(image.roll((2, -2), (2, 3)))
        torch.testing.assert_close(
            there[:, :, 6:-4, 4:-4],
            block(image).roll((2, -2), (2, 3))[:, :, 6:-4, 4:-4],
            atol=1e-5,
            rtol=0,
        )
