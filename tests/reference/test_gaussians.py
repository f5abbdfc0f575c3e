"""The overlap of Gaussians: against a double loop, its gradient, and both at the floor of σ."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from igaviz.reference.frames import frames_of_backbone
from igaviz.reference.gaussians import JITTER, LOG_DET_CLAMP, Gaussians, log_overlap

SHAPE = (2, 5, 3, 2, 3)
"""[B, N, H, P, 3]."""


def random_gaussians(seed: int, scale: float, dtype: torch.dtype) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rotation = frames_of_backbone(normal(*SHAPE[:2], 3, 3)).rotation
    sigma = scale * normal(*SHAPE).exp()
    return Gaussians(normal(*SHAPE).to(dtype), sigma.to(dtype), rotation.to(dtype))


def slow_overlap(queries: Gaussians, keys: Gaussians) -> tuple[Tensor, Tensor]:
    batch, n, heads, n_gaussians, _ = queries.centre.shape
    overlap = torch.zeros(batch, heads, n, n, dtype=torch.float64)
    log_dets = torch.zeros_like(overlap)

    def covariance(side: Gaussians, b: int, i: int, h: int, p: int) -> Tensor:
        rotation = side.rotation[b, i].double()
        axes = torch.diag(side.sigma[b, i, h, p].double() ** 2)
        return rotation @ axes @ rotation.T + JITTER * torch.eye(3, dtype=torch.float64)

    for b, h, i, j, p in torch.cartesian_prod(
        *(torch.arange(size) for size in (batch, heads, n, n, n_gaussians))
    ).tolist():
        total = covariance(queries, b, i, h, p) + covariance(keys, b, j, h, p)
        delta = (queries.centre[b, i, h, p] - keys.centre[b, j, h, p]).double()
        log_det = torch.logdet(total)
        squared = delta @ torch.linalg.inv(total) @ delta
        counted = max(float(log_det), LOG_DET_CLAMP)
        overlap[b, h, i, j] += (-squared / 2 - counted / 2) / math.sqrt(n_gaussians)
        log_dets[b, h, i, j] += log_det / n_gaussians
    return overlap, log_dets


@pytest.mark.parametrize("scale", [1.0, 0.3, 0.01], ids=["wide", "usual", "clamped"])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
def test_it_is_the_double_loop(scale: float, dtype: torch.dtype, rtol: float) -> None:
    queries, keys = random_gaussians(0, scale, dtype), random_gaussians(1, scale, dtype)
    overlap, log_det = log_overlap(queries, keys)
    slow, slow_log_det = slow_overlap(queries, keys)
    torch.testing.assert_close(overlap.double(), slow, rtol=rtol, atol=rtol)
    torch.testing.assert_close(log_det.double(), slow_log_det, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("scale", [0.5, 0.01], ids=["usual", "clamped"])
def test_its_gradient_is_the_slope(scale: float) -> None:
    sides = [random_gaussians(seed, scale, torch.float64) for seed in (0, 1)]
    inputs = [
        tensor[:1, :3, :1].requires_grad_()
        for side in sides
        for tensor in (side.centre, side.sigma)
    ]
    rotation = sides[0].rotation[:1, :3].requires_grad_()

    def overlap(*tensors: Tensor) -> Tensor:
        query_centre, query_sigma, key_centre, key_sigma, turn = tensors
        queries = Gaussians(query_centre, query_sigma, turn)
        return log_overlap(queries, Gaussians(key_centre, key_sigma, turn))[0]

    assert torch.autograd.gradcheck(overlap, (*inputs, rotation), atol=1e-4, rtol=1e-4)


def test_a_long_thin_gaussian_keeps_its_thin_axis_in_float32() -> None:
    rotation = random_gaussians(0, 1.0, torch.float32).rotation
    sigma = torch.tensor([3.0, 0.03, 0.03]).expand(SHAPE)
    centre = 0.1 * random_gaussians(1, 1.0, torch.float32).centre
    thin = Gaussians(centre, sigma, rotation)
    slow, slow_log_det = slow_overlap(thin, thin)
    overlap, log_det = log_overlap(thin, thin)
    torch.testing.assert_close(log_det.double(), slow_log_det, rtol=0, atol=1e-2)
    torch.testing.assert_close(overlap.double(), slow, rtol=1e-2, atol=1e-2)
