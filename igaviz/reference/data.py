"""Real protein chains as training items: read, split, cropped, batched, noised. Lengths in nm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from igaviz.errors import UsageError
from igaviz.reference.frames import Frames, frames_of_backbone, rotation_about

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
UNKNOWN = len(AMINO_ACIDS)
NM_PER_ANGSTROM = 0.1

NOISE_NM = 0.2
"""Standard deviation of a coordinate's noise at flow time 0."""

NOISE_RADIANS = 0.5
"""Standard deviation of each component of a frame's random turn at flow time 0."""


@dataclass(frozen=True, eq=False)
class Chain:
    """One protein chain: `backbone` [N, 3, 3] (atoms N, Cα, C; nm), numbers, one-letter codes."""

    name: str
    backbone: Tensor
    residue_index: Tensor
    sequence: str

    def __len__(self) -> int:
        return len(self.sequence)

    def crop(self, start: int, length: int) -> Chain:
        """`length` residues from position `start` on."""
        part = slice(start, start + length)
        return replace(
            self,
            backbone=self.backbone[part],
            residue_index=self.residue_index[part],
            sequence=self.sequence[part],
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Noised chains, padded to the longest.

    `residue_type` and `residue_index` [B, N] int64; `backbone` [B, N, 3, 3] is the clean
    structure; `noised` are its frames after noise of `flow_time` [B] (1 = data); `mask` [B, N] is
    True for residues that exist. `names` and `sequences` are per item.
    """

    names: tuple[str, ...]
    sequences: tuple[str, ...]
    residue_type: Tensor
    residue_index: Tensor
    backbone: Tensor
    noised: Frames
    flow_time: Tensor
    mask: Tensor

    def to(self, device: str | torch.device) -> Batch:
        """The same batch with its tensors on `device`."""
        tensors = ("residue_type", "residue_index", "backbone", "flow_time", "mask")
        moved = {name: getattr(self, name).to(device) for name in tensors}
        return replace(self, noised=self.noised.to(device), **moved)


def load_chains(path: Path) -> list[Chain]:
    """All chains of the file `path`, made as sample_data/README.md says (Å there, nm here)."""
    try:
        with np.load(path) as stored:
            tables = {name: stored[name] for name in stored.files}
        ends = np.cumsum(tables["lengths"])
        starts = ends - tables["lengths"]
        return [
            Chain(
                name=str(name),
                backbone=torch.from_numpy(tables["backbone"][start:end] * NM_PER_ANGSTROM),
                residue_index=torch.from_numpy(tables["residue_number"][start:end]).long(),
                sequence="".join(tables["sequence"][start:end]),
            )
            for name, start, end in zip(tables["names"], starts, ends, strict=True)
        ]
    except (OSError, KeyError, ValueError) as error:
        raise UsageError(
            f"{path} is no file of chains: {error}", hint="the project's is sample_data/chains.npz"
        ) from error


def split_chains(
    chains: Sequence[Chain], held_out: Sequence[str]
) -> tuple[list[Chain], list[Chain]]:
    """The chains to train on, and those named in `held_out`, in that order."""
    by_name = {chain.name: chain for chain in chains}
    missing = [name for name in held_out if name not in by_name]
    if missing:
        raise UsageError(
            f"no chain {', '.join(missing)} to hold out", hint=f"there are {', '.join(by_name)}"
        )
    training = [chain for chain in chains if chain.name not in held_out]
    return training, [by_name[name] for name in held_out]


def draw_batch(chains: Sequence[Chain], size: int, crop: int, generator: torch.Generator) -> Batch:
    """`size` random crops of at most `crop` residues, each at a flow time uniform in [0, 1)."""

    def draw(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    picked = []
    for _ in range(size):
        chain = chains[draw(len(chains))]
        picked.append(chain.crop(draw(max(1, len(chain) - crop + 1)), crop))
    return make_batch(picked, torch.rand(size, generator=generator), generator)


def make_batch(chains: Sequence[Chain], flow_time: Tensor, generator: torch.Generator) -> Batch:
    """The batch of these chains, noised for `flow_time` [B]."""
    longest = max(len(chain) for chain in chains)
    shape = (len(chains), longest)
    residue_type = torch.full(shape, UNKNOWN)
    residue_index = torch.zeros(shape, dtype=torch.int64)
    mask = torch.zeros(shape, dtype=torch.bool)
    # Padding gets the atoms of a real residue, so that its frame is a frame.
    backbone = chains[0].backbone[0].expand(*shape, 3, 3).clone()
    for row, chain in enumerate(chains):
        n = len(chain)
        letters = [AMINO_ACIDS.find(letter) for letter in chain.sequence]
        residue_type[row, :n] = torch.tensor(letters).where(torch.tensor(letters) >= 0, UNKNOWN)
        residue_index[row, :n] = chain.residue_index
        backbone[row, :n] = chain.backbone - chain.backbone[:, 1].mean(dim=0)
        mask[row, :n] = True
    return Batch(
        names=tuple(chain.name for chain in chains),
        sequences=tuple(chain.sequence for chain in chains),
        residue_type=residue_type,
        residue_index=residue_index,
        backbone=backbone,
        noised=_noised(frames_of_backbone(backbone), flow_time, generator),
        flow_time=flow_time,
        mask=mask,
    )


def _noised(frames: Frames, flow_time: Tensor, generator: torch.Generator) -> Frames:
    """`frames` moved and turned at random, the more the smaller `flow_time` [B]."""
    amount = (1 - flow_time)[:, None, None]
    shape = frames.translation.shape
    moves = NOISE_NM * amount * torch.randn(shape, generator=generator)
    turns = NOISE_RADIANS * amount * torch.randn(shape, generator=generator)
    return Frames(frames.rotation @ rotation_about(turns), frames.translation + moves)
