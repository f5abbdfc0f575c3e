"""What changed between two runs, or two steps of one: the work behind `igaviz compare`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from igaviz.checks import (
    Finding,
    LayerVerdict,
    Settings,
    Severity,
    Verdict,
    find_check,
    judge_layer,
)
from igaviz.checks.finding import HEALTHY
from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump import Damage, Dump, LayerEntry, named_apart
from igaviz.errors import SelectionError
from igaviz.format import DEFAULT_PHASE, PROBE_PHASE, LayerId
from igaviz.metrics import Measurement, Value
from igaviz.metrics.combine import combine
from igaviz.metrics.inputs import SAME, Alike, alike, by_place, least_alike
from igaviz.selection import Numbers, format_numbers
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.measuring.whole import measure_whole_layers
from igaviz.survey.plan import Choice, LayerTask, plan, require_maps
from igaviz.survey.work.workers import Jobs

_EACH_LAST = Numbers.parse("last")
_FIRST_AND_LAST = Numbers.parse("first,last")


@dataclass(frozen=True)
class Item:
    """A batch item of one side: its place, its name and its size."""

    rank: int
    batch: int
    name: str
    n_residues: int


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: a run at one step."""

    run: str
    phase: str
    step: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Pair:
    """The tasks of both sides, each of one run, phase and step."""

    a: tuple[LayerTask, ...]
    b: tuple[LayerTask, ...]


@dataclass(frozen=True)
class Change:
    """A layer (`head` None) or one head before and after: means over items, and the verdicts."""

    layer: int
    head: int | None
    a: Mapping[str, Value]
    b: Mapping[str, Value]
    verdict_a: Verdict
    verdict_b: Verdict

    def change(self, metric: str) -> float | None:
        """B less A, None where either has no number."""
        a, b = self.a.get(metric), self.b.get(metric)
        if a is None or b is None or isinstance(a, str) or isinstance(b, str):
            return None
        return float(b) - float(a)


class HeadNumbers(NamedTuple):
    """A head's mean over items of one metric, before and after."""

    head: int
    a: Value
    b: Value


@dataclass(frozen=True)
class Turn:
    """What one check says of a layer before and after; `layer` None speaks of a batch item.

    Where it could judge no map of the layer on a side, that side is not `judged`, and its severity
    healthy. `heads_a` and `heads_b` show it. `metric` is the check's first, `a` and `b` the
    layer's means, `numbers` those of the chosen heads that show it on either side.
    """

    id: str
    name: str
    layer: int | None
    before: Severity
    after: Severity
    heads_a: tuple[int, ...]
    heads_b: tuple[int, ...]
    metric: str
    a: Value
    b: Value
    judged_a: bool = True
    judged_b: bool = True
    numbers: tuple[HeadNumbers, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """What changed from A to B: every metric by layer and by head, and what checks say of it.

    `sick` holds what is worse in B, `well` what is better, `still` what both have. `items` says
    whether the two were recorded on the same items, `unlike` of which entries of A, by their ids,
    B's are not known to be the same, and why. `only_a` and `only_b` are layers that the other side
    lacks. `pair` is what was read, for `draw_differences`.
    """

    a: Side
    b: Side
    items: Alike
    unlike: Mapping[LayerId, str]
    layers: tuple[Change, ...]
    heads: tuple[Change, ...]
    sick: tuple[Turn, ...]
    well: tuple[Turn, ...]
    still: tuple[Turn, ...]
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]
    damaged: tuple[Damage, ...]
    pair: Pair

    def __repr__(self) -> str:
        """What it is of and what came out, in a line: all of it is pages long."""
        found = f"{len(self.sick)} got sick, {len(self.well)} got well, {len(self.still)} as before"
        a, b = (f"{side.run}, {side.phase}, step {side.step}" for side in (self.a, self.b))
        return f"<Comparison: A {a}; B {b}; {found}>"

    @property
    def items_differ(self) -> bool | None:
        """Whether the two were not recorded on the same items; None where that can't be told."""
        return self.items.differ

    def fails(self, fail_on: Severity | None) -> bool:
        """Whether something got sick, to `fail_on` or worse (None: never)."""
        return fail_on is not None and any(turn.after >= fail_on for turn in self.sick)


@takes_dumps
def compare(
    a: Dump,
    b: Dump | None = None,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    radius: float = LOCAL_RADIUS,
    jobs: Jobs = 1,
    progress: Progress | None = None,
) -> Comparison:
    """What changed from A to B, layer by layer and head by head.

    With two dumps, each of one run, A and B are their last steps, or those that `choice` takes of
    each; with one they are its first and its last step, or the two that `choice` takes. The phase
    is the same in both: where none is chosen, `probe`, then `train`, then any that both have. A
    layer is judged from all of its recorded heads, whichever are chosen. Raises `SelectionError`
    where a side is not one run at one step, or where they share no layer.
    """
    if b is not None:
        a, b = named_apart(a, b)
    pair = plan_pair(a, b, choice)
    total = sum(len(t.entry.heads) for t in (*pair.a, *pair.b))
    damaged = [*a.damaged, *(b.damaged if b is not None else ())]
    measured: list[dict[int, _Layer]] = []
    done = 0
    for tasks in (pair.a, pair.b):
        of_side: dict[int, _Layer] = {}
        for group, shown in measure_whole_layers(tasks, radius=radius, jobs=jobs):
            damaged.extend(group.damaged)
            if group.measurements:
                verdict = judge_layer(group.measurements, settings).verdict()
                of_side[group.layer] = _Layer(verdict, shown)
            done += sum(len(entry.heads) for entry in group.entries)
            if progress is not None:
                progress(done, total)
        measured.append(of_side)
    before, after = measured
    common = sorted(before.keys() & after.keys())
    if not common:
        raise SelectionError("A and B have no layer in common that can be read")
    turns = [turn for turn in _turns(before, after, common) if turn.before or turn.after]
    side_a, side_b = (_side([task.entry for task in tasks]) for tasks in (pair.a, pair.b))
    fixed = b is None and side_a.phase == PROBE_PHASE
    inputs = [(before[layer].verdict, after[layer].verdict) for layer in common]
    return Comparison(
        a=side_a,
        b=side_b,
        items=least_alike([alike(x.inputs, y.inputs, fixed=fixed) for x, y in inputs]),
        unlike={
            LayerId(x.run, x.phase, x.step, *place, x.layer): found.why
            for x, y in inputs
            for place, found in by_place(x.inputs, y.inputs, fixed=fixed).items()
            if found != SAME
        },
        layers=tuple(_layer_change(layer, before[layer], after[layer]) for layer in common),
        heads=tuple(
            change for layer in common for change in _head_changes(before[layer], after[layer])
        ),
        sick=tuple(_worst_first(turn for turn in turns if turn.after > turn.before)),
        well=tuple(_worst_first(turn for turn in turns if turn.after < turn.before)),
        still=tuple(_worst_first(turn for turn in turns if turn.after == turn.before)),
        only_a=tuple(sorted(before.keys() - after.keys())),
        only_b=tuple(sorted(after.keys() - before.keys())),
        damaged=tuple(dict.fromkeys(damaged)),
        pair=pair,
    )


def plan_pair(a: Dump, b: Dump | None, choice: Choice) -> Pair:
    """The tasks of the two sides; arguments and errors as of `compare`."""
    named = None if choice.all_steps else choice.step
    dumps = [a] if b is None else [a, b]
    for name, dump in zip("AB", dumps, strict=False):
        require_maps(dump)
        if len(dump.runs) > 1:
            names = ", ".join(run.name for run in dump.runs[:4])
            raise SelectionError(f"{name} holds {len(dump.runs)} runs ({names}): compare one")
    choice = replace(choice, phase=choice.phase or _common_phase(dumps))
    if b is None:
        step = named or _FIRST_AND_LAST
        tasks = plan(a, replace(choice, step=step))
        first, last = _steps(tasks, a, 2, "two steps of a run are compared")
        return Pair(_at(tasks, first), _at(tasks, last))
    step = named or _EACH_LAST
    sides = [plan(dump, replace(choice, step=step)) for dump in dumps]
    for tasks, dump in zip(sides, dumps, strict=True):
        _steps(tasks, dump, 1, "one step of each run is compared")
    return Pair(*sides)


def _common_phase(dumps: Sequence[Dump]) -> str:
    there = [{entry.id.phase for entry in dump.entries} for dump in dumps]
    common = set.intersection(*there)
    if not common:
        each = " and ".join(", ".join(sorted(phases)) or "none" for phases in there)
        raise SelectionError(f"A and B have no phase with maps in common: {each}")
    preferred = (PROBE_PHASE, DEFAULT_PHASE, *sorted(common))
    return next(phase for phase in preferred if phase in common)


def _steps(tasks: Sequence[LayerTask], dump: Dump, wanted: int, what: str) -> list[int]:
    phases = {task.entry.id.phase for task in tasks}
    if len(phases) > 1:
        raise SelectionError(f"one phase is compared, not {', '.join(sorted(phases))}")
    steps = sorted({task.entry.id.step for task in tasks})
    if len(steps) != wanted:
        known = {e.id.step for e in dump.entries if e.id.phase in phases}
        raise SelectionError(
            f"{what}, and {len(steps)} {'is' if len(steps) == 1 else 'are'} chosen: there are "
            f"maps of {next(iter(phases))} at {format_numbers(known)}",
            hint="name them with --step",
        )
    return steps


def _at(tasks: Sequence[LayerTask], step: int) -> tuple[LayerTask, ...]:
    return tuple(task for task in tasks if task.entry.id.step == step)


def _side(entries: Sequence[LayerEntry]) -> Side:
    first = entries[0].id
    items = {Item(e.id.rank, e.id.batch, e.item, e.n_residues) for e in entries}
    ordered = tuple(sorted(items, key=lambda item: (item.rank, item.batch)))
    return Side(first.run, first.phase, first.step, ordered)


@dataclass(frozen=True)
class _Layer:
    """A layer of one side: what all its heads come to, and the numbers of those chosen."""

    verdict: LayerVerdict
    shown: Sequence[Measurement]

    @property
    def values(self) -> Mapping[str, Value]:
        return combine([measurement.values for measurement in self.shown])

    @property
    def by_head(self) -> Mapping[int, Mapping[str, Value]]:
        heads: dict[int, list[Mapping[str, Value]]] = defaultdict(list)
        for measurement in self.shown:
            heads[measurement.id.head].append(measurement.values)
        return {head: combine(found) for head, found in sorted(heads.items())}

    @property
    def found(self) -> Mapping[tuple[int | None, str], Finding]:
        return {(finding.layer, finding.id): finding for finding in self.verdict.findings}


def _layer_change(layer: int, a: _Layer, b: _Layer) -> Change:
    return Change(layer, None, a.values, b.values, a.verdict.verdict, b.verdict.verdict)


def _head_changes(a: _Layer, b: _Layer) -> Iterator[Change]:
    before, after = a.by_head, b.by_head
    for head in sorted(before.keys() & after.keys()):
        verdicts = (side.verdict.heads.get(head, HEALTHY) for side in (a, b))
        yield Change(a.verdict.layer, head, before[head], after[head], *verdicts)


def _turns(
    before: Mapping[int, _Layer], after: Mapping[int, _Layer], common: Sequence[int]
) -> Iterator[Turn]:
    """What each check says of each layer on both sides, items once."""
    seen = set()
    for number in common:
        a, b = before[number], after[number]
        for place in {**a.found, **b.found}:
            if place in seen:
                continue
            seen.add(place)
            yield _turn(place[1], place[0], a, b)


def _turn(check_id: str, layer: int | None, a: _Layer, b: _Layer) -> Turn:
    check = find_check(check_id)
    one, other = a.found.get((layer, check_id)), b.found.get((layer, check_id))
    before = one.severity if one else Severity.HEALTHY
    after = other.severity if other else Severity.HEALTHY
    # Told under another check there, it is neither new nor gone.
    if one is None and check_id in a.verdict.shown:
        before = after
    if other is None and check_id in b.verdict.shown:
        after = before
    metric = check.metrics[0]
    heads_a, heads_b = one.heads if one else (), other.heads if other else ()
    return Turn(
        id=check.id,
        name=check.name,
        layer=layer,
        before=before,
        after=after,
        heads_a=heads_a,
        heads_b=heads_b,
        metric=metric,
        a=a.values.get(metric),
        b=b.values.get(metric),
        judged_a=check_id in a.verdict.judged,
        judged_b=check_id in b.verdict.judged,
        numbers=_numbers({*heads_a, *heads_b}, metric, a, b) if layer is not None else (),
    )


def _numbers(heads: set[int], metric: str, a: _Layer, b: _Layer) -> tuple[HeadNumbers, ...]:
    before, after = a.by_head, b.by_head
    there = sorted(heads & before.keys() & after.keys())
    return tuple(HeadNumbers(h, before[h].get(metric), after[h].get(metric)) for h in there)


def _worst_first(turns: Iterator[Turn]) -> list[Turn]:
    return sorted(
        turns,
        key=lambda turn: (
            -max(turn.before, turn.after),
            turn.id,
            -1 if turn.layer is None else turn.layer,
        ),
    )
