"""The pieces of the denoisers: places on the grid, and the mean word."""

import torch

from diffusion.networks.layers import mean_word, rotary_angles, rotate


def test_attention_scores_depend_on_relative_positions_alone():
    size, width = 6, 16
    angles = rotary_angles(size, width)
    q, k = torch.randn(2, width, generator=torch.Generator().manual_seed(0))
    everywhere = torch.stack([q, k])[:, None, None].expand(2, size**2, 1, width)
    queries, keys = rotate(everywhere, angles)[:, :, 0]
    scores = (queries @ keys.T).reshape(size, size, size, size)  # row, column; row, column
    for down, right in ((0, 0), (1, 0), (0, 1), (2, 3), (-1, 2)):
        pairs = [
            scores[i, j, i + down, j + right]
            for i in range(size)
            for j in range(size)
            if 0 <= i + down < size and 0 <= j + right < size
        ]
        torch.testing.assert_close(torch.stack(pairs), pairs[0].expand(len(pairs)))
    assert (scores[0, 0, 0, 1] - scores[0, 0, 1, 0]).abs() > 1e-2  # right is not down
    torch.testing.assert_close(queries.norm(dim=1), q.norm().expand(size**2))


def test_the_mean_word_is_of_real_words_alone():
    embedding = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, False, False], [True, True, True]])
    found = mean_word(embedding, mask)
    torch.testing.assert_close(found, torch.stack([embedding[0, 0], embedding[1].mean(0)]))
