"""What the terms of an attention layer are, from its weights, in float64 and pair by pair."""

import numpy as np
import torch
from torch import nn

HEADS, WIDTH, PAIR, HIDDEN, POINTS = 3, 10, 6, 4, 2


def randomised(module):
    """All parameters drawn anew: real layers start with zeros that would hide a mistake."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module


def random_inputs(*batch, n=7):
    """s, z, rotations, translations and a mask with holes, other ones in each item."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(*batch, *shape, generator=generator)

    rotations, _ = torch.linalg.qr(normal(n, 3, 3))
    mask = (torch.rand(*batch, n, generator=generator) > 0.25).float()
    mask[..., 0] = 1
    return normal(n, WIDTH), normal(n, n, PAIR), rotations, normal(n, 3), mask


def linear(layer, x):
    """What a linear layer makes of x, in float64."""
    weight, bias = layer.weight.detach().numpy(), layer.bias
    return x @ weight.astype(np.float64).T + (0 if bias is None else bias.detach().numpy())


def point_term(queries, keys, gamma):
    """−γ/2 Σ_p |q_p − k_p|² [H, N, N] of points [N, H, P, 3], pair by pair, in float64."""
    n, heads = queries.shape[:2]
    term = np.zeros((heads, n, n))
    for head in range(heads):
        for i in range(n):
            for j in range(n):
                apart = queries[i, head].astype(np.float64) - keys[j, head].astype(np.float64)
                term[head, i, j] = -gamma[head] / 2 * (apart**2).sum()
    return term


def softplus(x):
    return np.log1p(np.exp(x.detach().numpy().astype(np.float64)))


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def assert_terms(found, *, logits_before, geo_bias, gamma, ca, pair_bias=None):
    """What was read is what was computed, to 1e-4, and makes the attention that was read."""
    expected = {"logits_before": logits_before, "geo_bias": geo_bias, "gamma": gamma, "ca": ca}
    if pair_bias is not None:
        expected["pair_bias"] = pair_bias
    assert ("pair_bias" in found) == (pair_bias is not None)
    expected["attention"] = softmax(logits_before + geo_bias)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4, err_msg=name)
