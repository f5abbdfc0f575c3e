"""Large maps that are real: chains of the sample data side by side, seen by the reference model.

No painted data: the coordinates are those of real chains, the maps are what the reference layer
computes of them, recorded by the recorder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from igaviz.record import Recorder
from igaviz.reference.data import Chain, draw_batch, load_chains, make_batch
from igaviz.reference.model import Denoiser, backbone_error
from igaviz.reference.recipes import RECIPES

CHAINS = Path(__file__).parent.parent / "sample_data" / "chains.npz"
FLOW_TIME = 0.9

_CONTACT_NM = 0.5
_GAP = 200  # in the numbers that the model sees: it must not take two chains for one


def model_after(steps: int, recipe: str = "healthy", *, fixed_gamma: float | None = None):
    """The reference model of `recipe` after a few `steps` of training; with another γ, if any."""
    settings = RECIPES[recipe].model
    if fixed_gamma is not None:
        settings = replace(settings, layer=replace(settings.layer, fixed_gamma=fixed_gamma))
    torch.manual_seed(0)
    model = Denoiser(settings)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    chains = load_chains(CHAINS)
    for _ in range(steps):
        batch = draw_batch(chains, 2, 64, generator)
        loss = torch.stack([backbone_error(frames, batch) for frames in model(batch)]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def side_by_side(chains: Sequence[Chain]) -> tuple[Chain, torch.Tensor]:
    """The chains as one, each pushed up to those before until it touches, and each residue's chain.

    Numbers stay those of the chains.
    """
    placed = [chains[0].backbone - chains[0].backbone[:, 1].mean(dim=0)]
    directions = torch.randn(len(chains), 3, generator=torch.Generator().manual_seed(1))
    for chain, direction in zip(chains[1:], directions[1:], strict=True):
        around = torch.cat(placed)[:, 1]
        moved = chain.backbone - chain.backbone[:, 1].mean(dim=0)
        along = direction / direction.norm()
        shift = 0.0
        while torch.cdist(around, moved[:, 1] + shift * along).min() < _CONTACT_NM:
            shift += 0.1
        placed.append(moved + shift * along)
    owner = torch.cat([torch.full((len(chain),), index) for index, chain in enumerate(chains)])
    whole = Chain(
        name="+".join(chain.name for chain in chains),
        backbone=torch.cat(placed),
        residue_index=torch.cat([chain.residue_index for chain in chains]),
        sequence="".join(chain.sequence for chain in chains),
    )
    return whole, owner


def assembly(n: int) -> tuple[Chain, torch.Tensor]:
    """Exactly `n` residues of the sample data's chains, side by side; the last is cut."""
    chosen: list[Chain] = []
    for chain in load_chains(CHAINS):
        left = n - sum(map(len, chosen))
        if left <= 0:
            break
        chosen.append(chain.crop(0, left))
    return side_by_side(chosen)


@torch.no_grad()
def record(
    folder: Path,
    sizes: Sequence[int],
    model: Denoiser,
    *,
    step: int = 1,
    missing: int | None = None,
    noise: int = 2,
) -> Path:
    """`folder`, with one shard: what `model` makes of an assembly of each of these sizes.

    The residue at the position `missing` of each has no coordinates; `noise` is a seed.
    """
    items = [assembly(n) for n in sizes]
    for_model = [
        replace(chain, residue_index=chain.residue_index + _GAP * owner) for chain, owner in items
    ]
    generator = torch.Generator().manual_seed(noise)
    batch = make_batch(for_model, torch.full((len(items),), FLOW_TIME), generator)
    if missing is not None:
        batch.noised.translation[:, missing] = torch.nan
    shape = batch.mask.shape
    numbers = np.zeros(shape, np.int64)
    owners = np.zeros(shape, np.int64)
    for row, (chain, owner) in enumerate(items):
        numbers[row, : len(chain)] = chain.residue_index
        owners[row, : len(chain)] = owner
    with Recorder(folder, interval=1, length_unit="nanometer", items=len(items), strict=True) as r:
        r.attach(model)
        with r.step(
            step,
            names=batch.names,
            flow_time=batch.flow_time,
            residue_index=torch.from_numpy(numbers),
            chain_index=torch.from_numpy(owners),
            sequence=batch.sequences,
        ):
            model(batch)
    return folder
