"""Runs as one time line of maps and scalars: what trajectories are drawn from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from igaviz.checks import Settings, Severity, Verdict
from igaviz.checks.cases import judge_maps, layer_cases
from igaviz.dump import Damage, Dump, LayerEntry, Run, ScalarLine
from igaviz.errors import SelectionError
from igaviz.format import DEFAULT_PHASE, MapId
from igaviz.metrics import Measurement, Value
from igaviz.metrics.history import History, Moment, telling, tracks_of
from igaviz.metrics.table import LOCAL_RADIUS
from igaviz.survey.measured import Progress, measure_layers
from igaviz.survey.plan import ALL_PHASES, Choice, LayerTask, plan

PROBE = "probe"

MOST_STEPS = 400
"""Steps with numbers alone that a time line shows: more than a picture has room for are thinned."""

_UNKNOWN_SIZE = 20
"""Residues of items of which no map was recorded: the fewest that the checks judge."""


@dataclass
class _Collected:
    """What is known of one layer at one step."""

    from_maps: bool
    values: list[Mapping[str, Value]] = field(default_factory=list)
    severity: Severity = Severity.HEALTHY


def histories(
    dump: Dump,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    metric: str | None = None,
    radius: float = LOCAL_RADIUS,
    jobs: int = 1,
    progress: Progress | None = None,
    report: Callable[[Damage], None] | None = None,
) -> tuple[History, ...]:
    """The history of each chosen run and phase, by `metric` or by a few telling ones.

    Without a phase named it is `probe` where a run has it, because only the same input tells
    change of the layer from change of the input. Steps with maps are measured, the scalars files
    give the others: not for single items or a radius other than 8 Å, which they don't tell.
    Every step is judged by the checks; one of a scalars file by each head's means over the batch.
    Raises `SelectionError` for an empty selection.
    """
    return tuple(
        history_of(track, metric=metric, radius=radius, jobs=jobs, progress=progress, report=report)
        for track in chosen_tracks(dump, choice, radius=radius)
    )


@dataclass
class _Recorded:
    """What there is of one phase of a run."""

    steps: set[int] = field(default_factory=set)
    layers: set[int] = field(default_factory=set)
    ranks: set[int] = field(default_factory=set)

    def see(self, step: int, layer: int, rank: int) -> None:
        self.steps.add(step)
        self.layers.add(layer)
        self.ranks.add(rank)


@dataclass(frozen=True)
class ChosenTrack:
    """One phase of a run and its chosen steps; `choice` names the phase."""

    run: Run
    phase: str
    steps: tuple[int, ...]
    choice: Choice
    with_scalars: bool
    recorded: _Recorded

    @property
    def entries(self) -> tuple[LayerEntry, ...]:
        """The run's entries of this phase, chosen or not."""
        return tuple(entry for entry in self.run.entries if entry.id.phase == self.phase)


def chosen_tracks(
    dump: Dump, choice: Choice, *, radius: float = LOCAL_RADIUS
) -> tuple[ChosenTrack, ...]:
    """The phases of runs, and their steps, that `histories` takes; no map is read.

    Raises `SelectionError` for an empty selection.
    """
    with_scalars = choice.batch.text == "all" and radius == LOCAL_RADIUS
    tracks: dict[tuple[str, str], tuple[Run, _Recorded]] = {}
    for run in dump.runs:
        recorded = _recorded(run, with_scalars)
        for phase in _phases(recorded, choice.phase):
            tracks[run.name, phase] = run, recorded[phase]
    if not tracks:
        raise SelectionError("no step to draw a trajectory of")
    choice.layer.choose({key: found.layers for key, (_, found) in tracks.items()}, "layer")
    steps = choice.step.choose({key: found.steps for key, (_, found) in tracks.items()}, "step")
    return tuple(
        ChosenTrack(
            run, phase, steps[name, phase], replace(choice, phase=phase), with_scalars, seen
        )
        for (name, phase), (run, seen) in tracks.items()
        if (name, phase) in steps
    )


def history_of(
    track: ChosenTrack,
    *,
    metric: str | None = None,
    radius: float = LOCAL_RADIUS,
    jobs: int = 1,
    progress: Progress | None = None,
    report: Callable[[Damage], None] | None = None,
) -> History:
    """The history of one phase of a run; arguments as of `histories`."""
    collected: dict[tuple[int, int], _Collected] = {}
    groups = measure_layers(_tasks(track), radius=radius, jobs=jobs, progress=progress)
    for group in groups:
        if report is not None:
            for piece in group.damaged:
                report(piece)
        if group.measurements:
            values = [m.values for m in group.measurements]
            found = _Collected(True, values, _severity(group.measurements))
            collected[group.layer, group.step] = found
    if track.with_scalars:
        _add_scalars(collected, track, report)
    return _history(track, collected, metric)


def last_verdict(history: History) -> Verdict:
    """How many layers are sick at their last step, and how badly."""
    last = [Severity[track.severities[-1].upper()] for track in history.tracks]
    sick = sum(severity >= Severity.WARNING for severity in last)
    worst = max(last, default=Severity.HEALTHY)
    n = len(last)
    if sick == 0:
        return Verdict(worst, None, "no layer is sick at the end")
    return Verdict(worst, None, f"{sick} of {n} layer{'' if n == 1 else 's'} sick at the end")


def _recorded(run: Run, with_scalars: bool) -> dict[str, _Recorded]:
    """By phase, what maps and, where they count, scalars there are."""
    found: dict[str, _Recorded] = defaultdict(_Recorded)
    for entry in run.entries:
        found[entry.id.phase].see(entry.id.step, entry.id.layer, entry.id.rank)
    for line in run.scalar_lines() if with_scalars else ():
        found[line.phase].see(line.step, line.layer, line.rank)
    return found


def _phases(recorded: Collection[str], phase: str | None) -> list[str]:
    """The phases to draw of a run: the one that is named, else probe, else train, else all."""
    if phase is None:
        first = [known for known in (PROBE, DEFAULT_PHASE) if known in recorded]
        return first[:1] or sorted(recorded)
    return sorted(recorded) if phase == ALL_PHASES else [p for p in recorded if p == phase]


def _thinned(steps: Sequence[int], measured: set[int]) -> frozenset[int]:
    """At most `MOST_STEPS` of the `steps` without maps, evenly, the first and the last included."""
    others = np.array([step for step in steps if step not in measured], dtype=np.int64)
    if len(others) > MOST_STEPS:
        others = others[np.linspace(0, len(others) - 1, MOST_STEPS).astype(np.int64)]
    return frozenset(others.tolist())


def _tasks(track: ChosenTrack) -> tuple[LayerTask, ...]:
    """The maps of the chosen steps; none where only scalars are chosen."""
    run, steps = track.run, frozenset(track.steps)
    entries = tuple(e for e in run.entries if e.id.phase == track.phase and e.id.step in steps)
    if not entries:
        return ()
    return plan(Dump((replace(run, entries=entries),)), replace(track.choice, step=Choice().step))


def _add_scalars(
    collected: dict[tuple[int, int], _Collected],
    track: ChosenTrack,
    report: Callable[[Damage], None] | None,
) -> None:
    """Add what the scalars files say of the chosen steps that have no maps."""
    choice = track.choice
    steps = _thinned(track.steps, {step for _, step in collected})
    layers = choice.layer.among(sorted(track.recorded.layers))
    ranks = choice.rank.among(sorted(track.recorded.ranks))
    for line in track.run.scalar_lines(report):
        if line.phase != track.phase or line.step not in steps:
            continue
        if line.layer not in layers or line.rank not in ranks:
            continue
        measurements = _as_measurements(line, track)
        if measurements:
            place = collected.setdefault((line.layer, line.step), _Collected(False))
            place.values.extend(m.values for m in measurements)
            place.severity = max(place.severity, _severity(measurements))


def _as_measurements(line: ScalarLine, track: ChosenTrack) -> list[Measurement]:
    """A line's heads as the checks take them, each as if it were one map of the smallest item."""
    heads = track.choice.head.among(sorted(line.heads))
    entries = track.entries
    known = [entry.flow_time for entry in entries if entry.flow_time is not None]
    return [
        Measurement(
            id=MapId(track.run.name, line.phase, line.step, line.rank, 0, line.layer, head),
            item="",
            n_residues=min((entry.n_residues for entry in entries), default=_UNKNOWN_SIZE),
            length_unit="angstrom",
            values={name: found[place] for name, found in line.values.items()},
            flow_time=min(known, default=None),
        )
        for place, head in enumerate(line.heads)
        if head in heads
    ]


def _severity(measurements: Sequence[Measurement]) -> Severity:
    """How bad the checks find a layer: as its verdict, without the words."""
    settings = Settings()
    cases = layer_cases(judge_maps(measurements, settings), settings)
    return max((case.severity for case in cases), default=Severity.HEALTHY)


def _history(
    track: ChosenTrack, collected: Mapping[tuple[int, int], _Collected], metric: str | None
) -> History:
    metrics = telling(metric)
    moments = [
        Moment(layer, step, found.values, found.from_maps, str(found.severity))
        for (layer, step), found in sorted(collected.items(), key=lambda pair: pair[0])
    ]
    return History(
        run=track.run.name,
        phase=track.phase,
        metrics=metrics,
        tracks=tracks_of(moments, [m.name for m in metrics]),
        recorded=len(track.steps),
        drawn=len({moment.step for moment in moments}),
        items_differ=track.phase != PROBE or _differ(track.entries),
        items=tuple(dict.fromkeys(e.item or f"item {e.id.batch}" for e in track.entries)),
    )


def _differ(entries: Sequence[LayerEntry]) -> bool:
    """Whether a place in the batch holds another item at another step."""
    seen = {(e.id.rank, e.id.batch): (e.item, e.n_residues) for e in entries}
    return any(seen[e.id.rank, e.id.batch] != (e.item, e.n_residues) for e in entries)
