"""Tables in eight bits."""

import torch

from conditioning.rounding import from_eight_bits, rounded, to_eight_bits


def test_codes_are_the_nearest_whole_numbers_and_the_largest_is_127():
    table = torch.tensor([[1.27, -0.636, 0.003], [0.0, 0.0, 0.0], [-254.0, 2.9, 1.1]])
    codes, scale = to_eight_bits(table)
    assert codes.tolist() == [[127, -64, 0], [0, 0, 0], [-127, 1, 1]]
    assert (codes.dtype, scale.dtype) == (torch.int8, torch.float16)
    expected = torch.tensor([0.01, 2**-14, 2.0])
    torch.testing.assert_close(scale[:, 0].float(), expected, rtol=1e-3, atol=0)


def test_what_is_rounded_is_off_by_half_a_step_and_stays_as_it_is():
    table = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    table *= torch.logspace(-9, 4, 500)[:, None]  # the smallest are below all steps
    once = rounded(table)
    step = table.abs().amax(dim=1, keepdim=True) / 127
    assert ((once - table).abs() <= (0.51 * step).clamp_min(2**-15)).all()
    assert rounded(once).equal(once)
    assert from_eight_bits(*to_eight_bits(once)).equal(once)
