"""Difference maps of what is compared, all on the same colour scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from pathlib import Path

from igaviz.checks import Verdict
from igaviz.checks.finding import HEALTHY, NOT_JUDGED
from igaviz.dump import AttentionMap, Damage, LayerEntry
from igaviz.errors import IgavizError
from igaviz.figures import View
from igaviz.figures.difference import Compared, Scales
from igaviz.metrics.difference import Difference, why_different
from igaviz.survey.compare import Comparison
from igaviz.survey.drawing.drawn import check_output, draw_tasks
from igaviz.survey.drawing.pictures import PictureTask, Shown, Style
from igaviz.survey.measuring.layers import Progress, Reader, reader
from igaviz.survey.work.workers import Jobs, Workers, run_tasks

FIGURE = "difference"
_ONE_SIDED = "recorded on one side only"


@dataclass(frozen=True)
class Drawn:
    """The difference maps: where each is and what it shows; failures, damage.

    `left_out` counts maps that have none, by the reason.
    """

    pictures: tuple[tuple[Path, Shown], ...] = ()
    failed: tuple[tuple[Path, str], ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    damaged: tuple[Damage, ...] = ()


@dataclass(frozen=True)
class PairSource:
    """One head on both sides, in their shards; `scales` None suit this pair alone."""

    a: LayerEntry
    b: LayerEntry
    head: int
    name_a: str
    name_b: str
    scales: Scales | None = None

    def load(self, style: Style, read: Reader) -> tuple[object, View] | None:
        """The two maps and their difference; None where one can't be read or they don't fit."""
        maps = self.both(read)
        if maps is None or why_different(*maps):
            return None
        difference = Difference.of(*maps)
        scales = self.scales or Scales.of(difference)
        return Compared(difference, scales, self.name_a, self.name_b), style.view

    def both(self, read: Reader) -> tuple[AttentionMap, AttentionMap] | None:
        """Both maps, None where one can't be read."""
        found = [map for entry in (self.a, self.b) for map in read(entry, (self.head,))]
        return (found[0], found[1]) if len(found) == 2 else None


@dataclass(frozen=True)
class _Pair:
    """A picture to draw, and its source as what it is."""

    task: PictureTask
    source: PairSource


@dataclass(frozen=True)
class _Looked:
    """What a first look at a pair says: its scales, or why there is no picture of it."""

    scales: Scales | None = None
    reason: str = ""
    damaged: tuple[Damage, ...] = ()


def draw_differences(
    comparison: Comparison,
    *,
    out: str | Path,
    style: Style = Style(),  # noqa: B008 (frozen)
    force: bool = False,
    jobs: Jobs = 1,
    progress: Progress | None = None,
) -> Drawn:
    """Draw, below `out`, what each chosen head's attention and geometric bias became from A to B.

    One picture for each head and layer of an item that is the same on both sides. All
    share their colour scales, so every pair is read twice: for the scales, then to be drawn.
    Raises `OutputError` where a picture exists already and `force` is not set, or where `out`
    can't be written.
    """
    out = Path(out)
    pairs, left_out = _pairs(comparison, out)
    check_output(out, [path for pair in pairs for _, path in pair.task.wanted], force)
    damaged: list[Damage] = []
    fitting: list[_Pair] = []
    ends: list[Scales] = []
    look = partial(_look, folder=Workers.of(jobs).folder)
    looks = run_tasks(look, [pair.source for pair in pairs], jobs)
    for number, (done, pair) in enumerate(zip(looks, pairs, strict=True), 1):
        looked = done.result or _Looked(reason="the process that read it died")
        damaged.extend(looked.damaged)
        if looked.scales is None:
            left_out[looked.reason] += 1
        else:
            ends.append(looked.scales)
            fitting.append(pair)
        if progress is not None:
            progress(number, 2 * len(pairs))
    scales = reduce(Scales.join, ends) if ends else None
    work = [replace(p.task, source=replace(p.source, scales=scales)) for p in fitting]
    drawing = None if progress is None else _second_half(progress)
    rendering = draw_tasks(work, damaged, replace(style, figures=(FIGURE,)), jobs, drawing)
    return Drawn(
        tuple((picture.path, picture.shown) for picture in rendering.pictures),
        rendering.failed,
        left_out,
        tuple(dict.fromkeys(rendering.damaged)),
    )


def _second_half(progress: Progress) -> Progress:
    """What the drawing reports to: the first look at the pairs was the first half of the work."""
    return lambda done, total: progress(total + done, 2 * total)


def _look(source: PairSource, folder: str) -> _Looked:
    damaged: list[Damage] = []
    try:
        with reader(folder, damaged.append) as read:
            maps = source.both(read)
    except IgavizError as error:  # gone since the dump was opened
        return _Looked(reason=str(error))
    if maps is None:
        return _Looked(reason="can't be read", damaged=tuple(damaged))
    reason = why_different(*maps)
    return _Looked(reason=reason) if reason else _Looked(Scales.of(Difference.of(*maps)))


def _pairs(comparison: Comparison, out: Path) -> tuple[list[_Pair], Counter[str]]:
    """A picture for each head that both sides have of one item, and why others have none."""
    pair = comparison.pair
    there = {_place(task.entry): task for task in pair.b}
    ranks = len({task.entry.id.rank for task in (*pair.a, *pair.b)})
    verdicts = {(c.layer, c.head): (c.verdict_a, c.verdict_b) for c in comparison.heads}
    name_a, name_b = _names(comparison)
    found = []
    left_out: Counter[str] = Counter()
    for task in pair.a:
        entry, other = task.entry, there.get(_place(task.entry))
        for head in task.heads:
            if other is None or head not in other.heads:
                continue
            if entry.id in comparison.unlike:
                left_out[comparison.unlike[entry.id]] += 1
                continue
            source = PairSource(entry, other.entry, head, name_a, name_b)
            before, after = verdicts.get((entry.id.layer, head), (HEALTHY, HEALTHY))
            rank = f"_r{entry.id.rank}" if ranks > 1 else ""
            name = f"layer{entry.id.layer}_{FIGURE}_b{entry.id.batch}_h{head}{rank}.png"
            shown = Shown(*entry.id, head)
            verdict = _turned(before, after)
            picture = PictureTask(shown, verdict, source, ((FIGURE, out / name),))
            found.append(_Pair(picture, source))
    maps = (sum(len(task.heads) for task in tasks) for tasks in (pair.a, pair.b))
    lonely = sum(maps) - 2 * (len(found) + left_out.total())
    return found, Counter({_ONE_SIDED: lonely} if lonely else {}) + left_out


def _place(entry: LayerEntry) -> tuple[int, int, int]:
    return entry.id.rank, entry.id.batch, entry.id.layer


def _turned(before: Verdict, after: Verdict) -> Verdict:
    """The verdict on a head after, with what it was before where that was another."""
    if before.words == after.words or after == NOT_JUDGED:
        return after
    return after._replace(words=f"{before.words} → {after.words}")


def _names(comparison: Comparison) -> list[str]:
    """What the two sides are called: by step alone where the run is the same."""
    a, b = comparison.a, comparison.b
    runs = ("", "") if a.run == b.run else (f"{a.run}, ", f"{b.run}, ")
    return [f"{run}step {side.step:,}" for run, side in zip(runs, (a, b), strict=True)]
