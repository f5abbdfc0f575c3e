"""Rigid frames of residues: a rotation and a translation each, applied, inverted, composed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Frames:
    """One rigid frame per residue: `rotation` [..., 3, 3] and `translation` [..., 3]."""

    rotation: Tensor
    translation: Tensor

    def to(self, device: str | torch.device) -> Frames:
        """The same frames with their tensors on `device`."""
        return Frames(self.rotation.to(device), self.translation.to(device))

    def apply(self, points: Tensor) -> Tensor:
        """`points` [..., K, 3] of each frame's own coordinates, in global coordinates."""
        return points @ self.rotation.transpose(-1, -2) + self.translation.unsqueeze(-2)

    def invert_apply(self, points: Tensor) -> Tensor:
        """`points` [..., K, 3] of global coordinates, in each frame's own coordinates."""
        return (points - self.translation.unsqueeze(-2)) @ self.rotation

    def compose(self, inner: Frames) -> Frames:
        """The frames that first apply `inner`, then these."""
        moved = (self.rotation @ inner.translation.unsqueeze(-1)).squeeze(-1)
        return Frames(self.rotation @ inner.rotation, moved + self.translation)

    def updated(self, update: Tensor) -> Frames:
        """The frames moved by `update` [..., 6] in their own coordinates.

        The first three numbers are the vector part of a quaternion whose scalar part is 1 before
        it is normalised, the last three a translation: zeros leave a frame where it is
        (AlphaFold 2, supplementary algorithm 23).
        """
        return self.compose(Frames(_rotation_of(update[..., :3]), update[..., 3:]))


def frames_of_backbone(backbone: Tensor) -> Frames:
    """The frames of `backbone` [..., 3, 3] (atoms N, Cα, C): origin at Cα, x axis towards C."""
    nitrogen, alpha, carbon = backbone.unbind(-2)
    x = torch.nn.functional.normalize(carbon - alpha, dim=-1)
    towards_nitrogen = nitrogen - alpha
    in_plane = towards_nitrogen - (towards_nitrogen * x).sum(-1, keepdim=True) * x
    y = torch.nn.functional.normalize(in_plane, dim=-1)
    z = torch.linalg.cross(x, y)
    return Frames(torch.stack((x, y, z), dim=-1), alpha)


def rotation_about(axis_angle: Tensor) -> Tensor:
    """The rotation matrices [..., 3, 3] about `axis_angle` [..., 3], its length the angle."""
    angle = axis_angle.norm(dim=-1, keepdim=True)
    # tan(angle / 2) times the axis is the vector part of a quaternion with scalar part 1;
    # sinc keeps it finite at angle 0.
    half_sine_per_angle = torch.sinc(angle / (2 * torch.pi)) / 2
    return _rotation_of(axis_angle * half_sine_per_angle / torch.cos(angle / 2))


def _rotation_of(vector: Tensor) -> Tensor:
    """The rotation matrices of the quaternions (1, `vector`), normalised."""
    scalar = torch.rsqrt(1 + vector.square().sum(-1, keepdim=True))
    b, c, d = (vector * scalar).unbind(-1)
    a = scalar.squeeze(-1)
    rows = (
        a * a + b * b - c * c - d * d,
        2 * (b * c - a * d),
        2 * (b * d + a * c),
        2 * (b * c + a * d),
        a * a - b * b + c * c - d * d,
        2 * (c * d - a * b),
        2 * (b * d - a * c),
        2 * (c * d + a * b),
        a * a - b * b - c * c + d * d,
    )
    return torch.stack(rows, dim=-1).reshape(*vector.shape, 3)
