"""Which heads a page shows as pictures, and the drawing of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple

from igaviz.checks import Verdict, badness
from igaviz.dump import Damage, Dump, LayerEntry
from igaviz.figures import View
from igaviz.format import MapId
from igaviz.survey.drawing.drawn import Rendering, draw_tasks
from igaviz.survey.drawing.pictures import MapSource, Namer, PictureTask, Shown, Style
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.plan import LayerTask

DPI = 90
"""Of pictures inside a page: as wide as a screen, a third of the bytes of 150."""


class Known(NamedTuple):
    """A map that could be drawn: its verdict, and the entry that it is read from."""

    map: MapId
    entry: LayerEntry
    verdict: Verdict

    @property
    def badness(self) -> tuple[int, int]:
        """Orders maps by their verdicts."""
        return badness(self.verdict)


def draw_worst(
    dump: Dump,
    runs: Sequence[Mapping[tuple[int, int], Known]],
    most: int,
    folder: Path,
    radius: float,
    jobs: int,
    progress: Progress | None,
) -> Rendering:
    """The three figures of the worst `most` heads, drawn below `folder`, the worst first.

    `runs` hold the heads of each run by (layer, head). Runs take turns, so that each is seen, and
    so do the layers of a run among heads that are equally bad.
    """
    style = Style(view=View(radius=radius), dpi=DPI)
    namer = Namer(dump, folder, style)
    chosen = list(_turns([list(_worst_first(heads)) for heads in runs]))[:most]
    work = [_task(known, namer) for known in chosen]
    for path in {path.parent for task in work for _, path in task.wanted}:
        path.mkdir(parents=True, exist_ok=True)
    damaged: list[Damage] = []
    return draw_tasks(work, damaged, style, jobs, progress)


def _worst_first(heads: Mapping[tuple[int, int], Known]) -> Iterator[Known]:
    severities = sorted({known.verdict.severity for known in heads.values()}, reverse=True)
    for severity in severities:
        layers: dict[int, list[Known]] = {}
        for (layer, _), known in sorted(heads.items()):
            if known.verdict.severity == severity:
                layers.setdefault(layer, []).append(known)
        ordered = [
            sorted(found, key=lambda known: known.badness, reverse=True)
            for found in layers.values()
        ]
        yield from _turns(ordered)


def _turns(queues: Sequence[Sequence[Known]]) -> Iterator[Known]:
    """The first of each queue, and so on."""
    return (known for known in chain.from_iterable(zip_longest(*queues)) if known is not None)


def _task(known: Known, namer: Namer) -> PictureTask:
    return PictureTask(
        Shown(*known.map),
        known.verdict,
        MapSource(LayerTask(known.entry, (known.map.head,))),
        namer.of_map(known.entry, known.map.head),
    )
