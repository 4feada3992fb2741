"""Variations of glyphs: that they vary what they should, as far as told, and nothing else."""

import pytest
import torch

from autoencoder.data.variations import bend, ink, move, smear, vary, wobble


def moments(glyphs):
    """Mass, and centre (row, column) in pixels, of each glyph."""
    place = torch.arange(glyphs.shape[-1]).float()
    mass = glyphs.sum((1, 2, 3))
    row = (glyphs.sum((1, 3)) * place).sum(1) / mass
    column = (glyphs.sum((1, 2)) * place).sum(1) / mass
    return mass, row, column


def test_bending_by_nothing_changes_nothing(seeded, squares):
    torch.testing.assert_close(bend(squares, 0, 0, 0), squares, atol=1e-5, rtol=0)


def test_bending_moves_and_stretches_as_far_as_told_and_no_further(seeded, squares):
    _, row, column = moments(bend(squares, 0, 0, shift=0.1))
    for place in (row - 31.5, column - 31.5):
        assert place.abs().max() <= 6.4 + 1e-3
        assert place.min() < -3 and place.max() > 3
    mass, row, column = moments(bend(squares, scale=0.2, shear=0, shift=0))
    assert (row - 31.5).abs().max() < 0.05
    assert mass.min() > 256 / 1.2**2 - 8 and mass.max() < 256 / 0.8**2 + 8
    assert mass.min() < 230 and mass.max() > 290


def test_ink_thickens_and_thins_by_up_to_a_pixel_a_side(seeded, squares):
    mass, *_ = moments(ink(squares))
    assert 14**2 <= mass.min() < 220
    assert 18**2 >= mass.max() > 290


def test_smearing_keeps_the_amount_of_ink_and_the_range(seeded, squares):
    smeared = smear(squares, blur=2.0, noise=0.0)
    mass, row, _ = moments(smeared)
    torch.testing.assert_close(mass, torch.full((64,), 256.0), atol=0.01, rtol=0)
    torch.testing.assert_close(row, torch.full((64,), 31.5), atol=0.01, rtol=0)
    edges = smeared[:, 0, 32, 22]
    assert edges.min() < 0.01 and edges.max() > 0.1  # some hardly, some much
    noisy = smear(squares, blur=0.2, noise=0.3)
    assert noisy.min() >= 0 and noisy.max() <= 1
    assert noisy[:, :, :8, :8].std() > 0.05


def test_each_glyph_is_varied_in_its_own_way_and_half_are_smeared(seeded, squares):
    varied = vary(squares)
    assert varied.shape == squares.shape
    assert len({glyph.numpy().tobytes() for glyph in varied}) == 64
    speckled = varied[:, 0, :6, :6].sum((1, 2)) > 0
    assert 16 < int(speckled.sum()) < 48


def test_no_way_is_no_wobble(seeded, squares):
    torch.testing.assert_close(wobble(squares, way=0), squares, atol=1e-5, rtol=0)


def test_moves_are_in_pixels(squares):
    ways = torch.zeros(len(squares), 2, 6, 6)
    ways[:, 0], ways[:, 1] = 3, -5  # across and down
    here, there = squares[..., 5:, :-3], move(squares, ways)[..., 5:, :-3]
    torch.testing.assert_close(there, squares[..., :-5, 3:], atol=1e-4, rtol=0)
    assert not there.equal(here)


def test_strokes_wobble_each_by_itself_and_as_far_as_told(seeded):
    """Two far squares: each moves by about the deviation, and one not with the other."""
    glyphs = torch.zeros(400, 1, 128, 128)
    glyphs[..., 16:32, 16:32] = glyphs[..., 96:112, 96:112] = 1
    moved = wobble(glyphs, way=4.0)
    moves = []
    for first in (0, 64):
        corner = moved[..., first : first + 64, first : first + 64]
        _, row, column = moments(corner)
        rest = (23.5, 23.5) if first == 0 else (39.5, 39.5)
        moves.append(torch.stack([row - rest[0], column - rest[1]]))
    one, other = moves
    # The deviation is uniform up to 4: its mean square is 16 / 3, less what smoothing takes.
    assert 0.3 < one.square().mean() / (16 / 3) < 1.1
    correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
    assert abs(correlation) < 0.15
    assert one.square().mean() == pytest.approx(float(other.square().mean()), rel=0.5)


def test_the_same_generator_varies_in_the_same_way(squares):
    def varied(seed):
        generator = torch.Generator().manual_seed(seed)
        return vary(wobble(squares, generator=generator), generator)

    assert varied(1).equal(varied(1)) and not varied(1).equal(varied(2))
