"""A row of a summary, of one map up to a whole run, and which of two rows is worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from igaviz.checks import Severity, Verdict, badness
from igaviz.checks.finding import GEOMETRY_NOT_JUDGED
from igaviz.metrics import Value
from igaviz.metrics.combine import combine

By = Literal["run", "step", "layer", "head"]


@dataclass(frozen=True)
class Row:
    """Metrics of one map; or of a layer at one step, of a step, or of a run at its last step.

    `head` is None from a layer's row on, `layer` from a step's; `batch` and `rank` are None for
    means over items. `verdict` is the worst among what the row sums up, None where nothing of it
    could be judged; `words` say it, or how little was judged. `worst_layer`, `worst_head` and
    `worst_id` say which layer, head and check gave it. `sick` of `judged` heads (of a layer) or
    layers (of a step or run) are a warning or worse. A row that is not `from_maps` comes from a
    scalars file, and has neither verdict nor words; in means of one that is, a scalars file stands
    in for heads of which no map could be measured.

    A run's row has the numbers of its last step with maps, or of its last step where it has none:
    `steps` counts its steps of either kind, `since` is the first of them at which the check of
    the verdict fired on that layer. `shown` are the checks that a layer shows. `items_differ` says
    of a layer's row whether its maps up to that step are of other batch items, None where that
    can't be told.
    """

    run: str
    phase: str
    step: int
    rank: int | None
    batch: int | None
    layer: int | None
    head: int | None
    values: Mapping[str, Value]
    verdict: str | None = None
    words: str | None = None
    worst_head: int | None = None
    worst_id: str | None = None
    worst_layer: int | None = None
    sick: int | None = None
    judged: int | None = None
    steps: int | None = None
    since: int | None = None
    from_maps: bool = True
    shown: tuple[str, ...] | None = None
    items_differ: bool | None = False

    @property
    def severity(self) -> Severity | None:
        """The verdict's severity; None where nothing could be judged."""
        return None if self.verdict is None else Severity[self.verdict.upper()]

    @property
    def said(self) -> Verdict | None:
        """The verdict with its words; None where there are no maps."""
        if self.words is None:
            return None
        return Verdict(self.severity or Severity.HEALTHY, self.worst_id, self.words)


def badness_of(row: Row) -> tuple[float, ...]:
    """Orders rows: by verdict, then by the share that is sick, the check, and geometry's effect.

    The larger the worse; rows without a verdict come before all others.
    """
    severity = row.severity
    if severity is None:
        return (-1.0, 0.0, 0.0, 0.0)
    effect = row.values.get("geometry_effect")
    told = -1.0 if effect is None or isinstance(effect, str) else -float(effect)
    _, by_check = badness(Verdict(severity, row.worst_id, ""))
    return (float(severity), (row.sick or 0) / (row.judged or 1), float(by_check), told)


def of_step(layers: Sequence[Row]) -> Row:
    """One row for the rows of a step's layers, one at least: means, and the worst verdict."""
    first = layers[0]
    judged = [row for row in layers if row.verdict is not None]
    worst = max(judged, key=badness_of, default=first)
    words = worst.words
    if worst.worst_id is None and any(row.said == GEOMETRY_NOT_JUDGED for row in judged):
        words = GEOMETRY_NOT_JUDGED.words
    return Row(
        *(first.run, first.phase, first.step, None, None, None, None),
        values=combine([row.values for row in layers]),
        verdict=worst.verdict,
        words=words,
        worst_head=worst.worst_head,
        worst_id=worst.worst_id,
        worst_layer=worst.layer if worst.worst_id else None,
        sick=sum((row.severity or 0) >= Severity.WARNING for row in judged) if judged else None,
        judged=len(judged) or None,
        from_maps=any(row.from_maps for row in layers),
    )
