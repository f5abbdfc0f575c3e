"""Pictures of what was chosen: the work behind `igaviz render`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from igaviz.dump import Damage, Dump, read_maps
from igaviz.errors import SelectionError, UsageError
from igaviz.figures import FIGURES
from igaviz.metrics.heads import metric_names
from igaviz.selection import Numbers
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.drawing.asked import asked, tasks_of
from igaviz.survey.drawing.drawn import Rendering, check_output, draw_tasks
from igaviz.survey.drawing.pictures import (
    Namer,
    Style,
    of_scope,
    resolve,
)
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.parts.part import Part
from igaviz.survey.plan import Choice, LayerTask
from igaviz.survey.work.workers import Jobs

DEFAULT_OUT = Path("attention_vis")
USUAL = Choice(step=Numbers.parse("last"), batch=Numbers.parse("0"))
"""What pictures and files of maps are of where a choice leaves it open."""


def figure_names(text: str) -> tuple[str, ...]:
    """The figure types that `text` names, in the order of `FIGURES`: full names or their last word.

    Raises `UsageError` for a name that is none.
    """
    chosen: set[str] = set()
    for name in (piece.strip() for piece in text.split(",")):
        found = [known for known in FIGURES if name in (known, known.rsplit("_", 1)[-1], "all")]
        if not found:
            raise UsageError(f"no figure {name!r}", hint=_meant(name))
        chosen.update(found)
    return tuple(name for name in FIGURES if name in chosen)


def _meant(name: str) -> str:
    """The figure types there are, led by the one that `name` looks like."""
    names = [known.rsplit("_", 1)[-1] for known in FIGURES]
    near = difflib.get_close_matches(name.lower(), (*names, *FIGURES), n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}there are {', '.join(names)}, and all"


@takes_dumps
def render(
    dump: Dump,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    over_steps: Choice | None = None,
    part: Part | None = None,
    out: str | Path = DEFAULT_OUT,
    style: Style = Style(),  # noqa: B008 (frozen)
    force: bool = False,
    jobs: Jobs = 1,
    progress: Progress | None = None,
    measuring: Progress | None = None,
) -> Rendering:
    """Draw the figures of what is chosen below `out`, what is of one step in that step's folder.

    `choice` selects for pictures of maps, layers and steps, `over_steps` for those of runs, None
    the same. Where `choice` leaves it open, the former are of the last step and item 0, and of the
    only layer there is; the latter of all. Every recorded head of a drawn layer is measured,
    because a map's verdict carries the layer's severity: `measuring` hears of that, `progress` of
    the pictures. The parts of `part.of` draw each picture once between them, and each measures what
    its own need. Raises `SelectionError` for an empty selection and where no layer is named and
    there are several, `OutputError` where a picture exists already and `force` is not set, or where
    `out` can't be written, `UsageError` for a metric that there is not, or that no chosen figure
    shows.
    """
    out = Path(out)
    _check_metric(style)
    namer = Namer(dump, out, style)
    of_maps = usual_of_maps(dump, choice) if of_scope(style.figures, "map", "layer") else choice
    wanted = asked(dump, of_maps.or_else(USUAL), over_steps or choice, style, part)
    check_residues(wanted.tasks, style)
    check_output(out, wanted.paths(namer), force)
    damaged: list[Damage] = []
    work = tasks_of(wanted, namer, style, jobs=jobs, damaged=damaged, progress=measuring)
    return draw_tasks(work, damaged, style, jobs, progress)


def _check_metric(style: Style) -> None:
    names = tuple(metric_names())
    if style.metric is not None and style.metric not in names:
        raise UsageError(f"no metric {style.metric!r}", hint=f"there are {', '.join(names)}")
    if style.metric is not None and not of_scope(style.figures, "step", "run"):
        raise UsageError(
            f"no chosen figure shows {style.metric}: heads and trajectory show a metric",
            hint="choose one of them with --figure, or leave the metric out",
        )


def check_residues(tasks: Sequence[LayerTask], style: Style) -> None:
    """Residues that one of the items doesn't have are said before anything is drawn."""
    if style.residues is None and style.queries is None:
        return
    for _, group in groupby(tasks, key=lambda task: task.entry.id[:5]):
        task = next(iter(group))
        for found in read_maps(task.entry, task.heads[:1], report=lambda _: None):
            resolve(found.structure.residue_index, found.structure.chain_index, style)


def usual_of_maps(dump: Dump, choice: Choice) -> Choice:
    """`choice`, with what is usual for pictures and files of maps where it leaves something open.

    Of layers that is the only one there is: raises `SelectionError` where there are several.
    """
    layers = dump.layers
    if choice.layer is None and len(layers) > 1:
        raise SelectionError(
            "which layer? there are several",
            hint=f"add --layer {layers[0]} (from Python layer={layers[0]}), or any of "
            f"{', '.join(map(str, layers[:12]))}, or all",
        )
    return choice.or_else(USUAL)
