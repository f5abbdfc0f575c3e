"""The overlap of Gaussians in space: the geometric term of Invariant Gaussian Attention.

For each pair of a query and a key with centres μ and covariances Σ, with δ = μq − μk and
M = Σq + Σk, one pair of Gaussians contributes −½ δᵀ M⁻¹ δ − ½ max(ln det M, −20): the logarithm of
their overlap integral, up to a constant. The p-th Gaussian of a query meets the p-th of a key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LOG_DET_CLAMP = -20.0
"""The log-determinant never counts for less than this, in ln nm⁶."""

JITTER = 1e-6
"""Added to the diagonal of every covariance, in nm²."""

_DIAGONAL = (0, 3, 5)
_ROWS = (0, 0, 0, 1, 1, 2)
_COLUMNS = (0, 1, 2, 1, 2, 2)


@dataclass(frozen=True, eq=False)
class Gaussians:
    """P Gaussians per residue and head: `centre` and `sigma` [B, N, H, P, 3], and `rotation`.

    `centre` is global, in nm; `sigma` are the axis lengths in nm, before the rotation
    [B, N, 3, 3] of the residue's frame.
    """

    centre: Tensor
    sigma: Tensor
    rotation: Tensor

    def planes(self) -> tuple[Tensor, Tensor]:
        """The centres [P, 3, B, H, N] and covariances [P, 6, B, H, N], component by component.

        The six are xx, xy, xz, yy, yz, zz of R diag(σ²) Rᵀ + 1e-6·I.
        """
        variance = self.sigma.square()
        products = self.rotation[..., _ROWS, :] * self.rotation[..., _COLUMNS, :]
        covariance = torch.einsum("bnka,bnhpa->pkbhn", products, variance)
        jitter = covariance.new_zeros(6, 1, 1, 1)
        jitter[list(_DIAGONAL)] = JITTER
        return self.centre.permute(3, 4, 0, 2, 1).contiguous(), (covariance + jitter).contiguous()


def log_overlap(
    queries: Gaussians, keys: Gaussians, *, clamp: float = LOG_DET_CLAMP
) -> tuple[Tensor, Tensor]:
    """The overlap of all queries with all keys [B, H, N, N], and the mean log-determinant.

    The overlap is summed over the P Gaussians and divided by √P. The log-determinant of Σq + Σk
    never counts for less than `clamp` in it; averaged over the P Gaussians before that (ln nm⁶), it
    is for looking at and carries no gradient.
    """
    overlap, log_det = _LogOverlap.apply(  # type: ignore[no-untyped-call]
        clamp, *queries.planes(), *keys.planes()
    )
    return overlap, log_det


class _LogOverlap(torch.autograd.Function):
    """The overlap with its gradient written out.

    Autograd would keep some forty [B, H, N, N] maps per Gaussian for its backward pass. This keeps
    none: the 3 × 3 factors are cheaper to compute again than to read back from memory.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch gives it no public type)
        clamp: float,
        query_centre: Tensor,
        query_covariance: Tensor,
        key_centre: Tensor,
        key_covariance: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.clamp = clamp
        ctx.save_for_backward(query_centre, query_covariance, key_centre, key_covariance)
        total: Tensor | None = None
        log_det_sum: Tensor | None = None
        planes = zip(query_centre, query_covariance, key_centre, key_covariance, strict=True)
        for pair in planes:
            factors = _Factors.of(*pair)
            log_det = factors.log_det()
            counted = factors.distance_squared() + log_det.clamp(min=clamp)
            total = counted if total is None else total.add_(counted)
            log_det_sum = log_det if log_det_sum is None else log_det_sum.add_(log_det)
        assert total is not None
        assert log_det_sum is not None
        n_gaussians = len(query_centre)
        mean_log_det = log_det_sum.div_(n_gaussians)
        ctx.mark_non_differentiable(mean_log_det)
        return total.mul_(-0.5 / math.sqrt(n_gaussians)), mean_log_det

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        inputs: tuple[Tensor, ...] = ctx.saved_tensors
        gradients = tuple(torch.empty_like(tensor) for tensor in inputs)
        scaled = grad * (0.5 / math.sqrt(len(inputs[0])))
        for p in range(len(inputs[0])):
            factors = _Factors.of(*(tensor[p] for tensor in inputs))
            factors.write_gradients(scaled, ctx.clamp, *(tensor[p] for tensor in gradients))
        return None, *gradients


@dataclass(frozen=True, eq=False)
class _Factors:
    """M = L D Lᵀ of each pair, L with a unit diagonal, and w = L⁻¹ δ; every field is [B, H, N, N].

    Elimination without pivoting is backward stable for positive definite M, where the adjugate
    loses the small axis of a long Gaussian in float32.
    """

    d1: Tensor
    d2: Tensor
    d3: Tensor
    l21: Tensor
    l31: Tensor
    l32: Tensor
    w1: Tensor
    w2: Tensor
    w3: Tensor

    @classmethod
    def of(
        cls,
        query_centre: Tensor,
        query_covariance: Tensor,
        key_centre: Tensor,
        key_covariance: Tensor,
    ) -> _Factors:
        """The factors of all pairs of one Gaussian: centres [3, B, H, N], covariances [6, …]."""

        def summed(component: int) -> Tensor:
            left, right = query_covariance[component], key_covariance[component]
            return left.unsqueeze(-1) + right.unsqueeze(-2)

        def difference(axis: int) -> Tensor:
            return query_centre[axis].unsqueeze(-1) - key_centre[axis].unsqueeze(-2)

        d1, xy, xz = summed(0), summed(1), summed(2)
        l21, l31 = xy / d1, xz / d1
        d2 = summed(3).addcmul_(l21, xy, value=-1)
        yz = summed(4).addcmul_(l31, xy, value=-1)
        l32 = yz / d2
        d3 = summed(5).addcmul_(l31, xz, value=-1).addcmul_(l32, yz, value=-1)
        w1 = difference(0)
        w2 = difference(1).addcmul_(l21, w1, value=-1)
        w3 = difference(2).addcmul_(l31, w1, value=-1).addcmul_(l32, w2, value=-1)
        return cls(d1, d2, d3, l21, l31, l32, w1, w2, w3)

    def distance_squared(self) -> Tensor:
        """δᵀ M⁻¹ δ."""
        total = self.w1.square().div_(self.d1)
        total.addcdiv_(self.w2.square(), self.d2)
        return total.addcdiv_(self.w3.square(), self.d3)

    def log_det(self) -> Tensor:
        """The logarithm of det M."""
        return (self.d1 * self.d2).mul_(self.d3).log_()

    def write_gradients(
        self,
        grad: Tensor,
        clamp: float,
        query_centre: Tensor,
        query_covariance: Tensor,
        key_centre: Tensor,
        key_covariance: Tensor,
    ) -> None:
        """Write the gradients of −(δᵀM⁻¹δ + max(ln det M, `clamp`)), weighted by `grad`.

        With v = M⁻¹δ: −2v by δ, and vvᵀ − M⁻¹ by M, the second without M⁻¹ where the clamp binds.
        An off-diagonal component stands for two entries of M.
        """
        r1, r2, r3 = self.d1.reciprocal(), self.d2.reciprocal(), self.d3.reciprocal()
        v3 = self.w3 * r3
        v2 = (self.w2 * r2).addcmul_(self.l32, v3, value=-1)
        v1 = (self.w1 * r1).addcmul_(self.l21, v2, value=-1).addcmul_(self.l31, v3, value=-1)

        v = (v1, v2, v3)
        for axis in range(3):
            weighted = grad * v[axis]
            query_centre[axis] = weighted.sum(-1).mul_(-2)
            key_centre[axis] = weighted.sum(-2).mul_(2)

        unclamped = grad * (self.log_det() > clamp)
        r3.mul_(unclamped)
        r2.mul_(unclamped)
        r1.mul_(unclamped)
        m31 = (self.l21 * self.l32).sub_(self.l31)
        m31_r3 = m31 * r3
        l32_r3 = self.l32 * r3
        l21_r2 = self.l21 * r2
        inverse = (
            r1.addcmul_(self.l21, l21_r2).addcmul_(m31, m31_r3),
            l21_r2.addcmul_(self.l32, m31_r3).neg_(),
            m31_r3,
            r2.addcmul_(self.l32, l32_r3),
            l32_r3.neg_(),
            r3,
        )
        for component, (row, column) in enumerate(zip(_ROWS, _COLUMNS, strict=True)):
            slope = (v[row] * v[column]).mul_(grad).sub_(inverse[component])
            if row != column:
                slope.mul_(2)
            query_covariance[component] = slope.sum(-1)
            key_covariance[component] = slope.sum(-2)
