"""Invariant Gaussian Attention: attention whose logits add the overlap of Gaussians in space."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from igaviz.record import count_forward, recording, shared_recorder, tap
from igaviz.reference.frames import Frames
from igaviz.reference.gaussians import LOG_DET_CLAMP, Gaussians, log_overlap

MASKED_LOGIT = -1e5
SIGMA_FLOOR = 0.03
"""No axis of a Gaussian is shorter than this, in nm."""

GEO_SCALE_START = -4.0
"""`geo_scale` at the start: γ = softplus(−4) = 0.018."""

_LOG_SCALE_REACH = 2.0
_CENTRE_REACH = 3.0
"""How far a head may move its Gaussians from the residue's own: e² in scale, 3 σ in place."""


@dataclass(frozen=True, eq=False)
class Residues:
    """What the layer knows of each residue in space, in nm.

    `frames` are [B, N]; `local_mean` [B, N, 3] and `log_scale` [B, N, 3] are the centre and the
    logarithm of the axis lengths of the residue's own Gaussian, in its frame.
    """

    frames: Frames
    local_mean: Tensor
    log_scale: Tensor


@dataclass(frozen=True)
class IgaSettings:
    """The sizes of the layer, and what of its geometry is held instead of learned.

    `fixed_gamma` holds γ at a value. `free_centres=False` holds all Gaussians at the origin of the
    residue's frame, its Cα. `sigma_floor` is in nm, `log_det_clamp` in ln nm⁶ (−∞: no clamp).
    `geo_sign=-1` subtracts the geometric term. `temperature` divides all terms of the logits.
    """

    c_s: int = 64
    c_z: int = 16
    c_hidden: int = 16
    n_heads: int = 8
    n_gaussians: int = 2
    n_value_points: int = 4
    fixed_gamma: float | None = None
    geo_scale_start: float = GEO_SCALE_START
    free_centres: bool = True
    sigma_floor: float = SIGMA_FLOOR
    log_det_clamp: float = LOG_DET_CLAMP
    geo_sign: Literal[1, -1] = 1
    temperature: float = 1.0


class InvariantGaussianAttention(nn.Module):
    """Attention over residues with logits q·k/√c + pair bias + γ·overlap + b.

    Every residue carries P Gaussians per head for its role as a query and as many as a key;
    `log_overlap` says how much those of two residues overlap. The weights don't change when all
    frames are rotated and moved together. Lengths are in nm.

    `enable_vis` makes the layer record itself to `vis_dir` every `vis_interval` training steps, as
    layer `layer_idx`. Without it, it records wherever the caller has an active `Recorder`.
    """

    taps_itself = True
    """`Recorder.attach` names the layer instead of hooking it."""

    def __init__(
        self,
        settings: IgaSettings,
        *,
        layer_idx: int = 0,
        enable_vis: bool = False,
        vis_interval: int = 100,
        vis_dir: str | Path = "./attention_vis",
    ) -> None:
        super().__init__()
        self.settings = settings
        self.layer_idx = layer_idx
        self.enable_vis, self.vis_interval, self.vis_dir = enable_vis, vis_interval, vis_dir
        self.tap: Callable[..., None] = tap
        """What the layer tells its terms to; faults of recording are induced by putting another in
        its place."""
        if enable_vis:
            shared_recorder(vis_dir, interval=vis_interval)
        c_s, heads, hidden = settings.c_s, settings.n_heads, settings.c_hidden
        c_pair_value = settings.c_z // 4

        self.query = nn.Linear(c_s, heads * hidden, bias=False)
        self.key = nn.Linear(c_s, heads * hidden, bias=False)
        self.value = nn.Linear(c_s, heads * hidden, bias=False)
        self.pair_bias = nn.Linear(settings.c_z, heads)
        self.query_gaussians = nn.Linear(c_s, heads * settings.n_gaussians * 6)
        self.key_gaussians = nn.Linear(c_s, heads * settings.n_gaussians * 6)
        self.value_points = nn.Linear(c_s, heads * settings.n_value_points * 3)
        self.pair_value = nn.Linear(settings.c_z, c_pair_value)
        self.geo_scale = nn.Parameter(torch.full((heads,), settings.geo_scale_start))
        self.geo_bias = nn.Parameter(torch.zeros(heads))

        c_out = heads * (hidden + 4 * settings.n_value_points + c_pair_value)
        self.output = nn.Linear(c_out, c_s)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    @property
    def gamma(self) -> Tensor:
        """γ [H], the weight of the geometric term."""
        if self.settings.fixed_gamma is not None:
            return torch.full_like(self.geo_scale, self.settings.fixed_gamma)
        return nn.functional.softplus(self.geo_scale)

    def forward(self, s: Tensor, z: Tensor, residues: Residues, mask: Tensor) -> Tensor:
        """The update [B, N, c_s] of the single features.

        `s` is [B, N, c_s], `z` [B, N, N, c_z] with axes query and key, `mask` [B, N] is True for
        residues that exist.
        """
        if self.enable_vis:
            count_forward(
                self.vis_dir,
                interval=self.vis_interval,
                layer=self.layer_idx,
                training=self.training,
            )
        attention = self._attention(s, z, residues, mask)
        return self._read_values(attention, s, z, residues.frames)

    def _attention(self, s: Tensor, z: Tensor, residues: Residues, mask: Tensor) -> Tensor:
        """The weights [B, H, N, N] over keys, tapped."""
        settings = self.settings
        pair_mask = (mask.unsqueeze(-1) & mask.unsqueeze(-2)).unsqueeze(1)
        query_offsets, key_offsets = self.query_gaussians(s), self.key_gaussians(s)
        # In half precision a covariance is no longer positive definite.
        with torch.autocast(s.device.type, enabled=False):
            queries = self._gaussians(query_offsets.float(), residues)
            keys = self._gaussians(key_offsets.float(), residues)
            overlap, log_det = log_overlap(queries, keys, clamp=settings.log_det_clamp)
        gamma = self.gamma
        geo_bias = gamma[:, None, None] * overlap.masked_fill(~pair_mask, 0.0)
        geo_bias = (geo_bias + self.geo_bias[:, None, None]) / settings.temperature

        pair_bias = self.pair_bias(z).permute(0, 3, 1, 2) / settings.temperature
        q, k = self._per_head(self.query(s)), self._per_head(self.key(s))
        scale = settings.temperature * math.sqrt(settings.c_hidden)
        logits_before = q @ k.transpose(-1, -2) / scale + pair_bias
        logits = logits_before + settings.geo_sign * geo_bias + MASKED_LOGIT * (~pair_mask)
        attention = torch.softmax(logits, dim=-1)

        if recording():
            with torch.no_grad():
                self.tap(
                    layer=self.layer_idx,
                    module=self,
                    logits_before=logits_before,
                    geo_bias=geo_bias,
                    geo_bias_sign=settings.geo_sign,
                    attention=attention,
                    gamma=gamma,
                    ca=residues.frames.translation,
                    mask=mask,
                    pair_bias=pair_bias,
                    sigma=residues.log_scale.exp().clamp(min=settings.sigma_floor),
                    log_det_min=log_det.masked_fill(~pair_mask, torch.inf).amin(dim=(-1, -2)),
                    sigma_floor_share=self._floor_share(queries, keys, mask),
                )
        return attention

    def _gaussians(self, offsets: Tensor, residues: Residues) -> Gaussians:
        """The Gaussians of all heads: the residue's own, reshaped and moved by `offsets`."""
        settings = self.settings
        shape = (*offsets.shape[:-1], settings.n_heads, settings.n_gaussians, 2, 3)
        moves, scalings = offsets.tanh().view(shape).unbind(-2)
        log_scale = residues.log_scale[..., None, None, :] + _LOG_SCALE_REACH * scalings
        sigma = log_scale.exp().clamp(min=settings.sigma_floor)
        if settings.free_centres:
            local = residues.local_mean[..., None, None, :] + _CENTRE_REACH * moves * sigma
        else:
            local = torch.zeros_like(sigma)
        centre = residues.frames.apply(local.flatten(2, 3)).view_as(local)
        return Gaussians(centre, sigma, residues.frames.rotation)

    def _floor_share(self, queries: Gaussians, keys: Gaussians, mask: Tensor) -> Tensor:
        """The share [B, H] of axis lengths within 1 % of the floor, queries and keys together."""
        near_floor = 1.01 * self.settings.sigma_floor
        at_floor = torch.stack((queries.sigma, keys.sigma)).detach() <= near_floor
        per_residue = at_floor.float().mean(dim=(0, -1, -2))
        valid = mask.unsqueeze(-1)
        return (per_residue * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)

    def _per_head(self, features: Tensor) -> Tensor:
        """[B, N, H·c] → [B, H, N, c]."""
        batch, n, _ = features.shape
        return features.view(batch, n, self.settings.n_heads, -1).transpose(1, 2)

    def _read_values(self, attention: Tensor, s: Tensor, z: Tensor, frames: Frames) -> Tensor:
        """The update [B, N, c_s] from what each query attends to: features, points, pairs."""
        features = attention @ self._per_head(self.value(s))

        points = frames.apply(self.value_points(s).unflatten(-1, (-1, 3)))
        seen = attention @ self._per_head(points.flatten(2))
        local = frames.invert_apply(seen.transpose(1, 2).reshape_as(points))
        # The square root's slope is infinite at 0, where a query attends only to points at its
        # own origin.
        norms = local.square().sum(-1).add(1e-8).sqrt()

        pairs = attention.transpose(1, 2) @ self.pair_value(z)
        read = (features.transpose(1, 2).flatten(2), local.flatten(2), norms, pairs.flatten(2))
        update: Tensor = self.output(torch.cat(read, dim=-1))
        return update
