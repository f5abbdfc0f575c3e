"""Which maps a verb works on: selections applied to a dump, in the order of the pass."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from igaviz.dump import Dump, LayerEntry, Run, ScalarTrack, describe
from igaviz.errors import NothingReadableError, SelectionError
from igaviz.format import DEFAULT_PHASE, PROBE_PHASE
from igaviz.selection import Numbers, Selected, format_numbers, format_time_line

ALL_PHASES = "all"
_ALL = Numbers.parse("all")


@dataclass(frozen=True)
class Choice:
    """A selection of maps. What is None is left open, and stands for all where a verb has no usual.

    `phase` None takes `train` where a run has any, else all phases.
    """

    phase: str | None = None
    step: Numbers | None = None
    rank: Numbers | None = None
    batch: Numbers | None = None
    layer: Numbers | None = None
    head: Numbers | None = None

    @classmethod
    def of(
        cls,
        *,
        layer: Selected | None = None,
        head: Selected | None = None,
        batch: Selected | None = None,
        step: Selected | None = None,
        rank: Selected | None = None,
        phase: str | None = None,
    ) -> Choice:
        """The selection that is written as the command line's options are: `"0,2-4"`, `"last"`.

        A number or several, `3` or `[0, 3]`, will do; None leaves it open. Raises `UsageError`
        where one isn't of the grammar.
        """

        def numbers(selected: Selected | None, what: str) -> Numbers | None:
            return None if selected is None else Numbers.of(selected, what)

        return cls(
            phase=phase,
            step=numbers(step, "step"),
            rank=numbers(rank, "rank"),
            batch=numbers(batch, "batch item"),
            layer=numbers(layer, "layer"),
            head=numbers(head, "head"),
        )

    def or_else(self, usual: Choice) -> Choice:
        """This selection, and what `usual` has of the numbers that it leaves open."""
        return Choice(
            self.phase,
            self.step or usual.step,
            self.rank or usual.rank,
            self.batch or usual.batch,
            self.layer or usual.layer,
            self.head or usual.head,
        )

    @property
    def narrows(self) -> bool:
        """Whether a phase is chosen, or anything of all numbers there are."""
        numbers = (self.step, self.rank, self.batch, self.layer, self.head)
        return self.phase is not None or any(n not in (None, _ALL) for n in numbers)

    @property
    def all_steps(self) -> bool:
        """Whether no step is named or left out."""
        return self.step in (None, _ALL)

    @property
    def all_items(self) -> bool:
        """Whether no batch item is left out: lines of scalars are of no item."""
        return self.batch in (None, _ALL)

    @property
    def texts(self) -> dict[str, str | None]:
        """What `of` makes the same selection of."""
        return {
            **{
                name: None if numbers is None else numbers.text
                for name, numbers in (
                    ("layer", self.layer),
                    ("head", self.head),
                    ("batch", self.batch),
                    ("step", self.step),
                    ("rank", self.rank),
                )
            },
            "phase": self.phase,
        }

    def possible(self, entry: LayerEntry) -> tuple[int, ...]:
        """The heads of `entry` that may be chosen once the rest of its dump is known."""
        place, phase = entry.id, self.phase or ALL_PHASES
        numbers = (
            (self.step, place.step),
            (self.rank, place.rank),
            (self.batch, place.batch),
            (self.layer, place.layer),
        )
        if phase not in (ALL_PHASES, place.phase) or not all(
            n is None or n.possible({x}) for n, x in numbers
        ):
            return ()
        return tuple(sorted((self.head or _ALL).among(sorted(entry.heads))))


EVERYTHING = Choice(phase=ALL_PHASES)


@dataclass(frozen=True)
class LayerTask:
    """One piece of work: these heads of this entry. `group` is what is judged together."""

    entry: LayerEntry
    heads: tuple[int, ...]

    @property
    def group(self) -> tuple[str, str, int, int]:
        """(run, phase, step, layer): all ranks and batch items of one layer at one step."""
        return group_of(self.entry)


def group_of(entry: LayerEntry) -> tuple[str, str, int, int]:
    """(run, phase, step, layer) of an entry."""
    return entry.id.run, entry.id.phase, entry.id.step, entry.id.layer


@dataclass(frozen=True)
class TimeLine:
    """What is chosen of one run and phase: its maps, and the lines of its scalars files.

    `steps`, `ranks` and `heads` (by layer) are those chosen of the lines; empty where none are.
    """

    run: Run
    phase: str
    tasks: tuple[LayerTask, ...]
    steps: frozenset[int]
    ranks: frozenset[int]
    heads: Mapping[int, tuple[int, ...]]


def probed(dump: Dump) -> frozenset[str]:
    """The names of the runs that have maps of a probe."""
    return frozenset(
        run.name for run in dump.runs if any(e.id.phase == PROBE_PHASE for e in run.entries)
    )


def require_maps(dump: Dump) -> None:
    """Raises an error where there is no map, which names what is damaged if that may be why."""
    if dump.entries:
        return
    if dump.damaged:
        raise NothingReadableError(
            [describe(piece) for piece in dump.damaged],
            hint="what is left has no map to work on: see igaviz info",
        )
    raise SelectionError("no map to work on: nothing is recorded in it but scalars, or nothing")


def plan(dump: Dump, choice: Choice) -> tuple[LayerTask, ...]:
    """The chosen heads of the chosen entries, by run, phase, step, layer, rank, batch item.

    Steps are chosen per run and phase, so that `last` is the last of each that has maps. Raises
    `SelectionError` where a part of the selection isn't there, saying what is.
    """
    require_maps(dump)
    lines = plan_time_lines(dump, choice, scalars=False)
    return tuple(task for line in lines for task in line.tasks)


def plan_time_lines(dump: Dump, choice: Choice, *, scalars: bool = True) -> tuple[TimeLine, ...]:
    """What is chosen of the shards and of the scalars files, by run and phase.

    The two are one time line: `last` is the last step that has either. `scalars` False leaves
    the scalars files out. Raises `SelectionError` where a part of the selection is in neither,
    saying what there is.
    """
    tracks = _in_phase(dump, choice.phase, scalars)
    tracks = _in_rank(tracks, choice.rank or _ALL)
    tracks = _in_step(tracks, choice.step or _ALL)
    tracks = _in_layer(tracks, choice.layer or _ALL)
    tracks = tracks if choice.all_items else _in_batch(tracks, choice.batch or _ALL)
    entries = {entry.id: entry.heads for track in tracks for entry in track.entries}
    lines = {(t.name, layer): heads for t in tracks for layer, heads in t.layers.items()}
    heads = (choice.head or _ALL).choose({**entries, **lines}, "head")
    return tuple(_time_line(track, heads) for track in tracks)


@dataclass(frozen=True)
class _Track:
    """One run and phase, as far as it is chosen.

    `steps` and `layers` (with their heads) are those of the lines.
    """

    run: Run
    phase: str
    entries: Sequence[LayerEntry]
    scalars: Sequence[ScalarTrack] = ()
    steps: frozenset[int] = frozenset()
    layers: Mapping[int, frozenset[int]] = field(default_factory=dict)

    @property
    def name(self) -> tuple[str, str]:
        return self.run.name, self.phase


def _time_line(track: _Track, heads: Mapping[Hashable, tuple[int, ...]]) -> TimeLine:
    tasks = [LayerTask(entry, heads[entry.id]) for entry in track.entries if entry.id in heads]
    return TimeLine(
        run=track.run,
        phase=track.phase,
        tasks=tuple(sorted(tasks, key=lambda task: (*task.group, task.entry.id))),
        steps=track.steps,
        ranks=frozenset(lines.rank for lines in track.scalars),
        heads={
            layer: heads[track.name, layer]
            for layer in track.layers
            if (track.name, layer) in heads
        },
    )


def _in_phase(dump: Dump, phase: str | None, scalars: bool) -> list[_Track]:
    tracks = []
    there: set[str] = set()
    for run in dump.runs:
        lines = run.scalars if scalars else ()
        mapped = {entry.id.phase for entry in run.entries}
        phases = mapped | {track.phase for track in lines}
        there |= phases
        if phase is None and DEFAULT_PHASE in (mapped or phases):
            phases = {DEFAULT_PHASE}
        elif phase not in (None, ALL_PHASES):
            phases &= {phase}
        tracks += [
            _Track(
                run,
                name,
                [entry for entry in run.entries if entry.id.phase == name],
                [track for track in lines if track.phase == name],
            )
            for name in sorted(phases)
        ]
    if not there:
        raise SelectionError("nothing is recorded in it")
    if not tracks:
        raise SelectionError(f"no phase {phase}: there is {', '.join(sorted(there))}")
    return tracks


def _in_rank(tracks: Sequence[_Track], numbers: Numbers) -> list[_Track]:
    there = {entry.id.rank for track in tracks for entry in track.entries}
    there |= {lines.rank for track in tracks for lines in track.scalars}
    ranks = _chosen(numbers, there, "rank")
    return [
        replace(
            track,
            entries=[entry for entry in track.entries if entry.id.rank in ranks],
            scalars=[lines for lines in track.scalars if lines.rank in ranks],
        )
        for track in tracks
    ]


def _in_step(tracks: Sequence[_Track], numbers: Numbers) -> list[_Track]:
    """Chosen per run and phase. The layers of the lines are those of the tracks with steps left."""
    there = {track.name: {entry.id.step for entry in track.entries} for track in tracks}
    of_lines = {
        track.name: {step for lines in track.scalars for step in lines.steps.tolist()}
        for track in tracks
    }
    try:
        steps = numbers.choose(
            {name: there[name] | of_lines[name] for name in there},
            "step",
            lambda: _maps_and_numbers(there.values(), of_lines.values()),
        )
    except SelectionError as error:
        raise SelectionError(error.message, hint=_numbers_alone(tracks, numbers)) from error
    narrowed = []
    for track in tracks:
        chosen = frozenset(steps.get(track.name, ()))
        layers: dict[int, frozenset[int]] = {}
        if chosen & of_lines[track.name]:
            for lines in track.scalars:
                for layer, heads in lines.heads.items():
                    layers[layer] = layers.get(layer, frozenset()) | heads
        narrowed.append(
            replace(
                track,
                entries=[entry for entry in track.entries if entry.id.step in chosen],
                steps=chosen & of_lines[track.name],
                layers=layers,
            )
        )
    return narrowed


def _maps_and_numbers(mapped: Iterable[set[int]], numbered: Iterable[set[int]]) -> str:
    """What there is where steps are of two kinds, else nothing."""
    maps, numbers = set().union(*mapped), set().union(*numbered)
    two = bool(maps) and not numbers <= maps
    return f"there are {format_time_line(maps, numbers)}" if two else ""


def _numbers_alone(tracks: Sequence[_Track], numbers: Numbers) -> str | None:
    """What to do where the steps that are missing have lines of scalars; None where they don't."""
    maps = {entry.id.step for track in tracks for entry in track.entries}
    lines = {
        step
        for track in tracks
        for scalars in track.run.scalars
        if scalars.phase == track.phase
        for step in scalars.steps.tolist()
    }
    alone = sorted(numbers.possible(lines - maps))
    if not alone:
        return None
    named = f"step{'' if len(alone) == 1 else 's'} {format_numbers(alone)}"
    return f"{named} {'has' if len(alone) == 1 else 'have'} numbers but no maps: see igaviz summary"


def _in_layer(tracks: Sequence[_Track], numbers: Numbers) -> list[_Track]:
    there = {entry.id.layer for track in tracks for entry in track.entries}
    there.update(layer for track in tracks for layer in track.layers)
    chosen = _chosen(numbers, there, "layer")
    return [
        replace(
            track,
            entries=[entry for entry in track.entries if entry.id.layer in chosen],
            layers={layer: heads for layer, heads in track.layers.items() if layer in chosen},
        )
        for track in tracks
    ]


def _in_batch(tracks: Sequence[_Track], numbers: Numbers) -> list[_Track]:
    """Of maps only: lines are of no item."""
    there = {entry.id.batch for track in tracks for entry in track.entries}
    chosen = _chosen(numbers, there, "batch item")
    return [
        replace(track, entries=[entry for entry in track.entries if entry.id.batch in chosen])
        for track in tracks
    ]


def _chosen(numbers: Numbers, there: Collection[int], what: str) -> tuple[int, ...]:
    return numbers.choose({what: there}, what).get(what, ())
