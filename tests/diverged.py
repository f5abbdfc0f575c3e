"""Logits as large as a mask that are none: those of sick and of diverged layers, of 4 heads."""

import numpy as np

N = 40


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def as_recorded(S, G):
    """The terms of a layer, [4, N, N]: S, G and A."""
    S, G = S.astype(np.float32), G.astype(np.float32)
    return S, G, softmax(S + G).astype(np.float16).astype(np.float32)


def sharp(by, scale):
    """One-hot rows: by content, by far residues, or by keys that draw or repel everybody."""
    generator = np.random.default_rng(0)
    content = generator.normal(size=(4, N, N))
    steps = generator.normal(size=(N, 3))
    ca = (0.38 * steps / np.linalg.norm(steps, axis=-1, keepdims=True)).cumsum(0)
    bias = -np.linalg.norm(ca[:, None] - ca, axis=-1)[None].repeat(4, 0)
    if by == "key":
        content = generator.normal(size=(1, 1, N)).repeat(N, 1).repeat(4, 0)
        content *= generator.uniform(0.3, 1, (4, N, 1))
    if by == "geometry":
        return as_recorded(content, scale * bias)
    return as_recorded(scale * content, bias)


def all_alike(seed):
    """All queries have become alike, and the logits as large as a mask."""
    generator = np.random.default_rng(seed)
    query, keys = generator.normal(size=(4, 8)), generator.normal(size=(N, 8))
    column = 1e5 * np.einsum("hc,jc->hj", np.abs(query), keys - 1.5)
    S = column[:, None] * generator.uniform(0.95, 1.05, (4, N, 1))
    return as_recorded(S, np.zeros_like(S))


def one_repels(seed):
    """One key has grown so large that it repels every query, each as far as that one is large."""
    generator = np.random.default_rng(seed)
    S = generator.normal(size=(4, N, N))
    S[:, :, 7] -= 2e4 * generator.uniform(0.9, 1.1, (4, N))
    return as_recorded(S, np.zeros_like(S))


LAYERS = {
    **{
        f"{by} {scale:g}": (sharp, by, scale)
        for by in ("content", "geometry", "key")
        for scale in (1.0, 30.0, 1e3, 1e6)
    },
    **{f"alike {seed}": (all_alike, seed) for seed in range(20)},
}
ONE_REPELS = {f"one repels {seed}": (one_repels, seed) for seed in range(3)}
