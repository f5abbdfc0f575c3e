"""Rigid frames: inverse, composition, updates, and the frames of a backbone."""

from __future__ import annotations

import torch

from igaviz.reference.frames import Frames, frames_of_backbone, rotation_about


def random_frames(seed: int) -> Frames:
    generator = torch.Generator().manual_seed(seed)
    return frames_of_backbone(torch.randn(4, 7, 3, 3, generator=generator))


def test_inverting_undoes_applying() -> None:
    frames = random_frames(0)
    points = torch.randn(4, 7, 5, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(frames.invert_apply(frames.apply(points)), points)


def test_composing_applies_the_inner_frames_first() -> None:
    outer, inner = random_frames(0), random_frames(1)
    points = torch.randn(4, 7, 5, 3, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(outer.compose(inner).apply(points), outer.apply(inner.apply(points)))


def test_an_update_of_zeros_leaves_frames_where_they_are() -> None:
    frames = random_frames(0)
    still = frames.updated(torch.zeros(4, 7, 6))
    torch.testing.assert_close(still.rotation, frames.rotation)
    torch.testing.assert_close(still.translation, frames.translation)


def test_a_rotation_turns_by_its_length_about_its_axis() -> None:
    axis_angle = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    # Row k of the cross products is a × e_k: column k of the matrix whose exponential turns by a.
    columns = torch.linalg.cross(
        axis_angle.unsqueeze(1).expand(50, 3, 3), torch.eye(3).expand(50, 3, 3)
    )
    expected = torch.linalg.matrix_exp(columns.transpose(-1, -2))
    torch.testing.assert_close(rotation_about(axis_angle), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rotation_about(torch.zeros(3)), torch.eye(3))


def test_a_backbones_frame_has_its_carbon_on_x_and_its_nitrogen_in_the_plane() -> None:
    backbone = torch.randn(6, 3, 3, generator=torch.Generator().manual_seed(0))
    frames = frames_of_backbone(backbone)
    local = frames.invert_apply(backbone)
    torch.testing.assert_close(local[:, 1], torch.zeros(6, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(local[:, 2, 1:], torch.zeros(6, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(local[:, 0, 2], torch.zeros(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(frames.rotation), torch.ones(6))
