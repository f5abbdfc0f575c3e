"""A small denoising model: noised backbone frames in, clean ones out, attention in between."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from igaviz.reference.data import UNKNOWN, Batch
from igaviz.reference.frames import Frames
from igaviz.reference.layer import IgaSettings, InvariantGaussianAttention, Residues

MAX_OFFSET = 32
"""Offsets in sequence beyond this look alike to the pair features."""

_TIME_FREQUENCIES = 8
_IDEAL_BACKBONE_NM = (
    (-0.0525, 0.1363, 0.0),
    (0.0, 0.0, 0.0),
    (0.1526, 0.0, 0.0),
)
"""N, Cα, C in a residue's frame: the same for all residues to within 0.005 nm."""


@dataclass(frozen=True)
class ModelSettings:
    """The sizes of the model. `sigma` is the scale of the residues' own Gaussians, nm."""

    layer: IgaSettings = field(default_factory=IgaSettings)
    n_layers: int = 6
    sigma: float = 0.7


class Block(nn.Module):
    """One layer of attention, a transition, and an update of the frames."""

    def __init__(self, attention: InvariantGaussianAttention) -> None:
        super().__init__()
        c_s = attention.settings.c_s
        self.attention = attention
        self.attention_norm = nn.LayerNorm(c_s)
        self.transition = nn.Sequential(nn.Linear(c_s, 2 * c_s), nn.ReLU(), nn.Linear(2 * c_s, c_s))
        self.transition_norm = nn.LayerNorm(c_s)
        self.frame_update = nn.Linear(c_s, 6)
        nn.init.zeros_(self.frame_update.weight)
        nn.init.zeros_(self.frame_update.bias)

    def forward(
        self, s: Tensor, z: Tensor, residues: Residues, mask: Tensor
    ) -> tuple[Tensor, Frames]:
        """The single features [B, N, c_s] and the frames after this block."""
        s = self.attention_norm(s + self.attention(s, z, residues, mask))
        s = self.transition_norm(s + self.transition(s))
        update = self.frame_update(s)
        with torch.autocast(s.device.type, enabled=False):
            return s, residues.frames.updated(update.float())


class Denoiser(nn.Module):
    """Predicts clean backbone frames from noised ones, residue types and the flow time.

    Pair features know the offset in sequence only: whatever the model learns of who is near whom
    in space, it has from the geometry of its attention.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        layer = settings.layer
        self.sigma = settings.sigma
        self.residue_embedding = nn.Embedding(UNKNOWN + 1, layer.c_s)
        self.time_embedding = nn.Linear(2 * _TIME_FREQUENCIES, layer.c_s)
        self.offset_embedding = nn.Embedding(2 * MAX_OFFSET + 1, layer.c_z)
        self.residue_gaussian = nn.Linear(layer.c_s, 6)
        nn.init.zeros_(self.residue_gaussian.weight)
        nn.init.zeros_(self.residue_gaussian.bias)
        self.blocks = nn.ModuleList(
            Block(InvariantGaussianAttention(layer, layer_idx=index))
            for index in range(settings.n_layers)
        )

    @property
    def attention_layers(self) -> list[InvariantGaussianAttention]:
        """The attention of each block."""
        return [block.attention for block in self.blocks if isinstance(block, Block)]

    def forward(self, batch: Batch) -> list[Frames]:
        """The frames [B, N] after each block; the last are the prediction."""
        s = self.residue_embedding(batch.residue_type)
        local_mean, log_scale = self._residue_gaussians(s)
        s = s + self.time_embedding(_time_features(batch.flow_time)).unsqueeze(1)
        offset = batch.residue_index.unsqueeze(-1) - batch.residue_index.unsqueeze(-2)
        z = self.offset_embedding(offset.clamp(-MAX_OFFSET, MAX_OFFSET) + MAX_OFFSET)

        frames, after_blocks = batch.noised, []
        for block in self.blocks:
            s, frames = block(s, z, Residues(frames, local_mean, log_scale), batch.mask)
            after_blocks.append(frames)
        return after_blocks

    def _residue_gaussians(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """The centre and the logarithm of the axis lengths [B, N, 3] of each residue's Gaussian.

        All start as spheres of radius `sigma` at the Cα; training may move them by σ/2 and shape
        them by a factor e^½, so that a run's scale stays the one that its settings name.
        """
        moves, scalings = self.residue_gaussian(s).tanh().div(2).split(3, dim=-1)
        return self.sigma * moves, math.log(self.sigma) + scalings


def backbone_error(frames: Frames, batch: Batch) -> Tensor:
    """The mean squared distance, Å², of the frames' backbone atoms from the clean structure."""
    ideal = batch.backbone.new_tensor(_IDEAL_BACKBONE_NM)
    squared = (frames.apply(ideal) - batch.backbone).square().sum(-1).mean(-1) * 100
    return squared[batch.mask].mean()


def _time_features(flow_time: Tensor) -> Tensor:
    """Sines and cosines [B, 16] of the flow time [B]."""
    frequency = 2.0 ** torch.arange(_TIME_FREQUENCIES, device=flow_time.device)
    angle = flow_time.unsqueeze(-1) * math.pi * frequency
    return torch.cat((angle.sin(), angle.cos()), dim=-1)
