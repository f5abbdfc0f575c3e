"""Is a dump whole: the work behind `igaviz verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from igaviz.checks import JudgedLayer, Settings, judge_layer
from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump import Damage, Dump
from igaviz.format import MAP_TERMS, MapId
from igaviz.metrics import Measurement
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.measuring.layers import LayerGroup, Progress, measure_layers
from igaviz.survey.plan import EVERYTHING, plan
from igaviz.survey.work.workers import Jobs, Workers

_NUMBERS = {"D001": "nonfinite", "D002": "row_sum_error", "D003": "replay_error"}
_INVARIANTS = Settings.of(select=tuple(_NUMBERS))


@dataclass(frozen=True)
class Problem:
    """A map that reads, and breaks what holds for every whole record of an attention.

    `group` is its layer's place in the file at `path`.
    """

    path: str
    group: str
    head: int
    id: str
    metric: str
    value: float | None
    words: str

    @property
    def where(self) -> str:
        """The place inside the file."""
        return f"{self.group} (head {self.head})"


@dataclass(frozen=True)
class Verification:
    """What `verify` looked at, what of it is damaged, and which maps break an invariant.

    `judged` counts the maps on which each of D001, D002 and D003 could be judged: rows and replay
    only where attention was recorded, replay where its terms were.
    """

    shards: int
    maps: int
    scalar_lines: int
    judged: Mapping[str, int]
    damaged: tuple[Damage, ...]
    problems: tuple[Problem, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return not self.damaged and not self.problems


@takes_dumps
def verify(dump: Dump, *, jobs: Jobs = 1, progress: Progress | None = None) -> Verification:
    """Whether `dump` is whole: structure, types, checksums, finite numbers, row sums, replay.

    Reads every map of every phase and every line of the scalars files. Invariants are those of
    the checks D001, D002 and D003.
    """
    damaged = list(dump.damaged)
    problems: list[Problem] = []
    maps, judged = 0, Counter(dict.fromkeys(_NUMBERS, 0))
    workers = replace(Workers.of(jobs), cache=None, measured=None)  # whole is what was read now
    if dump.entries:
        tasks = plan(dump, EVERYTHING)
        for group in measure_layers(
            tasks, radius=LOCAL_RADIUS, jobs=workers, progress=progress, terms=MAP_TERMS
        ):
            maps += len(group.measurements)
            damaged.extend(group.damaged)
            layer = judge_layer(group.measurements, _INVARIANTS)
            judged.update(
                check for j in layer.judgements for check in _NUMBERS if check in j.outcomes
            )
            problems.extend(_problems(group, layer))
    lines = 0
    for run in dump.runs:
        damaged.extend(run.scalar_damage)
        for track in run.scalars:
            lines += sum(1 for _ in track.lines(report=damaged.append))
    shards = sum(len(run.shards) for run in dump.runs)
    return Verification(shards, maps, lines, dict(judged), tuple(damaged), tuple(problems))


def _problems(group: LayerGroup, layer: JudgedLayer) -> Iterator[Problem]:
    entries = {entry.id: entry for entry in group.entries}
    measured: dict[MapId, Measurement] = {m.id: m for m in group.measurements}
    for identity, verdict in layer.map_verdicts().items():
        if verdict.check is None:
            continue
        entry = entries[identity.layer_id]
        metric = _NUMBERS[verdict.check]
        yield Problem(
            path=entry.path,
            group=entry.group,
            head=identity.head,
            id=verdict.check,
            metric=metric,
            value=measured[identity].number(metric),
            words=verdict.words,
        )
