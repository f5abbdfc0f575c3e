"""What is in a dump: the data behind `igaviz info`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from igaviz.dump import Damage, Dump, Ended, LayerEntry, Run, ScalarTrack, Superseded
from igaviz.format import GAMMA_GRADIENT, HEAD_TERMS, MAP_TERMS
from igaviz.survey.arguments import takes_dumps


@dataclass(frozen=True)
class ItemInfo:
    """A batch item: its position in the batch, its names over the run, and its sizes."""

    batch: int
    names: tuple[str, ...]
    n_residues: tuple[int, ...]


@dataclass(frozen=True)
class LayerInfo:
    """A layer: the module it is, its heads, and the terms recorded in every, or in some entries."""

    layer: int
    module: str
    heads: tuple[int, ...]
    terms: tuple[str, ...]
    sometimes: tuple[str, ...]
    geo_bias_sign: int


@dataclass(frozen=True)
class PhaseInfo:
    """A phase: its steps with maps, and those with numbers in the scalars files only."""

    phase: str
    steps: tuple[int, ...]
    scalar_steps: tuple[int, ...]


@dataclass(frozen=True)
class RunInfo:
    """All that `igaviz info` says about one run.

    `numbers` are the names of what training noted of its steps beside the heads' metrics (loss,
    learning rate, …), and of the gradient of γ: those of the first and the last step in the
    scalars files of each phase and rank.
    """

    name: str
    run_id: str | None
    created: str | None
    creator: str | None
    length_units: tuple[str, ...]
    shards: int
    n_bytes: int
    maps: int
    phases: tuple[PhaseInfo, ...]
    numbers: tuple[str, ...]
    layers: tuple[LayerInfo, ...]
    items: tuple[ItemInfo, ...]
    ranks: tuple[int, ...]
    attempts: tuple[int, ...]
    superseded: tuple[Superseded, ...]
    ended: tuple[Ended, ...]


@dataclass(frozen=True)
class DumpInfo:
    """What is in a dump, run by run, and what of it is damaged."""

    runs: tuple[RunInfo, ...]
    damaged: tuple[Damage, ...]


@takes_dumps
def info(dump: Dump) -> DumpInfo:
    """What is in `dump`: runs, phases, steps, layers, heads, items, units, bytes, damage.

    Reads the index, no map, and of the scalars files the lines of their first and last steps.
    Raises `DumpError` where a scalars file can't be read any more.
    """
    scalar_damage = (piece for run in dump.runs for piece in run.scalar_damage)
    return DumpInfo(tuple(_run_info(run) for run in dump.runs), (*dump.damaged, *scalar_damage))


def _run_info(run: Run) -> RunInfo:
    scalar_steps: dict[str, set[int]] = {}
    for track in run.scalars:
        scalar_steps.setdefault(track.phase, set()).update(track.steps.tolist())
    steps: dict[str, set[int]] = {}
    for entry in run.entries:
        steps.setdefault(entry.id.phase, set()).add(entry.id.step)
    phases = sorted(steps.keys() | scalar_steps.keys())
    return RunInfo(
        name=run.name,
        run_id=run.run_id,
        created=run.created,
        creator=run.creator,
        length_units=tuple(sorted({entry.length_unit for entry in run.entries})),
        shards=len(run.shards),
        n_bytes=run.n_bytes,
        maps=sum(len(entry.heads) for entry in run.entries),
        phases=tuple(
            PhaseInfo(
                phase,
                tuple(sorted(steps.get(phase, ()))),
                tuple(sorted(scalar_steps.get(phase, set()) - steps.get(phase, set()))),
            )
            for phase in phases
        ),
        numbers=_numbers(run.scalars),
        layers=tuple(
            _layer_info(layer, [entry for entry in run.entries if entry.id.layer == layer])
            for layer in sorted({entry.id.layer for entry in run.entries})
        ),
        items=tuple(
            _item_info(batch, [entry for entry in run.entries if entry.id.batch == batch])
            for batch in sorted({entry.id.batch for entry in run.entries})
        ),
        ranks=tuple(sorted({entry.id.rank for entry in run.entries})),
        attempts=run.attempts,
        superseded=run.superseded,
        ended=run.ended,
    )


def _numbers(tracks: Sequence[ScalarTrack]) -> tuple[str, ...]:
    """The names of the numbers that stand once in a line, in the order in which they appear."""
    names: dict[str, None] = {}
    for track in tracks:
        for line in track.lines({int(track.steps[0]), int(track.steps[-1])}):
            names.update(dict.fromkeys(line.numbers))
            if line.gamma_gradient_norm is not None:
                names[GAMMA_GRADIENT] = None
    return tuple(names)


def _layer_info(layer: int, entries: Sequence[LayerEntry]) -> LayerInfo:
    order = (*MAP_TERMS, *HEAD_TERMS)
    always = frozenset.intersection(*(entry.terms for entry in entries))
    ever = frozenset.union(*(entry.terms for entry in entries))
    return LayerInfo(
        layer=layer,
        module=entries[-1].module,
        heads=tuple(sorted({head for entry in entries for head in entry.heads})),
        terms=tuple(term for term in order if term in always),
        sometimes=tuple(term for term in order if term in ever - always),
        geo_bias_sign=entries[-1].geo_bias_sign,
    )


def _item_info(batch: int, entries: Sequence[LayerEntry]) -> ItemInfo:
    names = dict.fromkeys(entry.item for entry in entries if entry.item)
    return ItemInfo(batch, tuple(names), tuple(sorted({entry.n_residues for entry in entries})))
