"""Which heads are sick, and why: the work behind `igaviz diagnose`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from igaviz.checks import Baseline, Diagnosis, LayerVerdict, Settings, conclude, judge_layer
from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump import Damage, Dump
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.measuring.whole import measure_whole_layers, readable
from igaviz.survey.plan import Choice, plan, probed
from igaviz.survey.work.workers import Jobs


@takes_dumps
def diagnose(
    dump: Dump,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    baseline: Baseline | None = None,
    radius: float = LOCAL_RADIUS,
    jobs: Jobs = 1,
    progress: Progress | None = None,
) -> Diagnosis:
    """The verdict on the chosen maps, with every finding and what was skipped or damaged.

    A layer is judged from all of its recorded heads, and told of are those that are chosen. One
    pass for all checks; only verdicts and findings are kept. What `baseline` knows is marked
    as accepted. `radius` in Å is the limit of local pairs.
    Raises `SelectionError` for an empty selection.
    """
    damaged: list[Damage] = []

    def verdicts() -> Iterator[LayerVerdict]:
        tasks = plan(dump, choice)
        layers = measure_whole_layers(tasks, radius=radius, jobs=jobs, progress=progress)
        for layer in readable(layers, damaged.append):
            yield judge_layer(layer.group.measurements, settings).verdict(layer.told)

    # `damaged` fills while the verdicts stream, and is read after them.
    pieces = chain(dump.damaged, damaged)
    diagnosis = conclude(verdicts(), settings, pieces, probed=probed(dump))
    return diagnosis if baseline is None else baseline.accept(diagnosis)
