"""What is recorded of the trained models: as they are, with a fault made, or under odd inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from igaviz.calibration.conditions import CONDITIONS, Condition
from igaviz.calibration.labels import CHOOSING_SEED
from igaviz.calibration.training import CHECKPOINTS, trained
from igaviz.record import Recorder, tap
from igaviz.record.settings import LengthUnit
from igaviz.reference.data import Batch, Chain
from igaviz.reference.frames import Frames
from igaviz.reference.model import Denoiser
from igaviz.reference.train import HELD_OUT, PROBE_FLOW_TIME, fixed_batch

FEW = (0, 100, CHECKPOINTS[-1])
LAST = CHECKPOINTS[-1:]
_SEPARATION_NM = 3.0
_NOISE_SEED = 21

Terms = dict[str, Any]
Told = Callable[[Terms], Terms]


def lightly_noised(chains: list[Chain]) -> Batch:
    """The chains as the probe of every run has them."""
    return fixed_batch(chains, PROBE_FLOW_TIME)


@dataclass(frozen=True)
class Recording:
    """One recording per seed of a condition.

    `told` changes what the layers tell of themselves, `make` gives the batch of the chains, `unit`
    is the unit that the recorder is told, `autocast` the type that the model runs in.
    """

    name: str
    condition: str
    steps: tuple[int, ...] = LAST
    told: Told | None = None
    make: Callable[[list[Chain]], Batch] = lightly_noised
    unit: LengthUnit = "nanometer"
    autocast: torch.dtype | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of its condition."""
        return CONDITIONS[self.condition].seeds


def without_geometry(terms: Terms) -> Terms:
    """The terms with the attention of a softmax that γ × overlap never reached."""
    shut = ~(terms["mask"][:, None, :, None] & terms["mask"][:, None, None, :])
    attention = torch.softmax(terms["logits_before"].masked_fill(shut, -1e5), dim=-1)
    return {**terms, "attention": attention}


def without_gamma(terms: Terms) -> Terms:
    """The terms with the overlap alone recorded as the bias, before γ."""
    return {**terms, "geo_bias": terms["geo_bias"] / terms["gamma"][:, None, None]}


def after_dropout(terms: Terms) -> Terms:
    """The terms with attention after a dropout of one weight in ten."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dropped = torch.nn.functional.dropout(terms["attention"], p=0.1)
    return {**terms, "attention": dropped}


def sign_forgotten(terms: Terms) -> Terms:
    """The terms with the sign +1, whatever the layer does."""
    return {**terms, "geo_bias_sign": 1}


def in_angstrom(terms: Terms) -> Terms:
    """The terms with coordinates in Å."""
    return {**terms, "ca": terms["ca"] * 10}


def noised(chains: list[Chain], *, angstrom: float) -> Batch:
    """The chains with noise of this standard deviation in each coordinate, at flow time 1.

    The flow time tells nothing: only the coordinates themselves show that they are noise.
    """
    batch = fixed_batch(chains, 1.0)
    generator = torch.Generator().manual_seed(_NOISE_SEED)
    clean = batch.noised.translation
    moved = clean + 0.1 * angstrom * torch.randn(clean.shape, generator=generator)
    return replace(batch, noised=Frames(batch.noised.rotation, moved))


def sized(chains: list[Chain], *, residues: int) -> Batch:
    """One item of `residues` residues: a piece of a chain, or chains side by side."""
    return lightly_noised([joined(chains, residues)])


def joined(chains: list[Chain], residues: int) -> Chain:
    """The first `residues` residues of the chains, one beside the other, over and over."""
    parts: list[Chain] = []
    total = 0
    while total < residues:
        number = len(parts)
        chain = chains[number % len(chains)]
        place = torch.tensor([number % 3, number // 3 % 3, number // 9], dtype=torch.float32)
        moved = chain.backbone - chain.backbone[:, 1].mean(dim=0) + _SEPARATION_NM * place
        numbers = chain.residue_index + 1000 * number
        parts.append(replace(chain, backbone=moved.float(), residue_index=numbers))
        total += len(chain)
    whole = Chain(
        name=f"{residues} residues",
        backbone=torch.cat([part.backbone for part in parts]),
        residue_index=torch.cat([part.residue_index for part in parts]),
        sequence="".join(part.sequence for part in parts),
    )
    return whole.crop(0, residues)


SIZES = (50, 150, 300, 600)
NOISE_ANGSTROM = (1, 4, 20)

RECORDINGS = {
    recording.name: recording
    for recording in (
        *(
            Recording(name, name, CHECKPOINTS if name.startswith(("healthy", "frozen")) else FEW)
            for name in CONDITIONS
        ),
        Recording("gamma_left_out", "healthy", told=without_geometry),
        Recording("overlap_recorded", "healthy", told=without_gamma),
        Recording("dropout", "healthy", told=after_dropout),
        Recording("sign_forgotten", "subtracted", told=sign_forgotten),
        Recording("nm_as_angstrom", "healthy", unit="angstrom"),
        Recording("angstrom_as_nm", "healthy", told=in_angstrom),
        Recording("bfloat16", "healthy", autocast=torch.bfloat16),
        Recording("float16", "healthy", autocast=torch.float16),
        *(
            Recording(f"noise_{noise}", "healthy", make=partial(noised, angstrom=noise))
            for noise in NOISE_ANGSTROM
        ),
        *(Recording(f"size_{n}", "healthy", make=partial(sized, residues=n)) for n in SIZES),
        *(Recording(f"sick_size_{n}", "gamma_5", make=partial(sized, residues=n)) for n in SIZES),
        *(
            Recording(f"blind_size_{n}", "gamma_1e-4", make=partial(sized, residues=n))
            for n in SIZES
        ),
    )
}
"""By name."""


def held_out_for(seed: int) -> tuple[str, ...]:
    """The chains that a run of this seed is recorded on."""
    half = len(HELD_OUT) // 2
    return HELD_OUT[:half] if seed == CHOOSING_SEED else HELD_OUT[half:]


def record(
    recording: Recording,
    seed: int,
    chains: list[Chain],
    folder: Path,
    out: Path,
    condition: Condition | None = None,
) -> None:
    """Record the models of `folder` into the new folder `out`, in eval mode.

    `condition` stands in for the table's, for models of another size.
    """
    models = trained(condition or CONDITIONS[recording.condition], seed, folder)
    names = held_out_for(seed)
    batch = recording.make([chain for name in names for chain in chains if chain.name == name])
    about: Terms = {
        "phase": "probe",
        "names": batch.names,
        "flow_time": batch.flow_time,
        "residue_index": batch.residue_index,
        # Joined chains are numbered a thousand apart.
        "chain_index": batch.residue_index // 1000,
        "sequence": batch.sequences,
    }
    with Recorder(
        out, at=recording.steps, length_unit=recording.unit, strict=True, attention_dtype="float32"
    ) as recorder:
        for step in recording.steps:
            with recorder.step(step, **about), torch.no_grad(), _telling(models[step], recording):
                models[step](batch)


@contextmanager
def _telling(model: Denoiser, recording: Recording) -> Iterator[None]:
    """A context in which the layers tell what the recording says they do."""
    told = recording.told
    if told is not None:
        for layer in model.attention_layers:
            layer.tap = lambda **terms: tap(**told(terms))
    cast = (
        nullcontext()
        if recording.autocast is None
        else torch.autocast("cpu", dtype=recording.autocast)
    )
    with cast:
        yield
