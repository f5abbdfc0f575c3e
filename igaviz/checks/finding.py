"""What the checks say: severities, findings, verdicts, and the diagnosis that holds them all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol


class Severity(IntEnum):
    """How bad it is; orders from healthy to error. A finding is a note at least."""

    HEALTHY = 0
    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


class Verdict(NamedTuple):
    """One map, head or layer in a word: how bad, the check that says so, and words for a title."""

    severity: Severity
    check: str | None
    words: str


HEALTHY = Verdict(Severity.HEALTHY, None, "healthy")
GEOMETRY_NOT_JUDGED = Verdict(Severity.HEALTHY, None, "healthy, geometry not judged")
NOT_JUDGED = Verdict(Severity.HEALTHY, None, "not judged")


class Further(NamedTuple):
    """A further condition of a finding, beside its first: the metric, its value and threshold."""

    metric: str
    value: float | None
    threshold: float


@dataclass(frozen=True)
class Finding:
    """What one check found, in the order of the keys of `igaviz diagnose --json`.

    `heads` are those that show it, `maps` of `of` judged maps do. `value` is the worst of them
    against the check's first condition (`metric`, `threshold`), `also` holds that map's other
    conditions.
    `head` is None where several heads show it, `rank` and `batch` where several items or heads
    do; `layer` is None where it speaks of a batch item as a whole, as D004 to D007 do. `worst_head`
    is the head that `value` is of, None where it is of an item or of the layer over steps.
    `accepted` says that a baseline knows it.
    """

    id: str
    name: str
    severity: Severity
    run: str
    phase: str
    step: int
    rank: int | None
    batch: int | None
    layer: int | None
    head: int | None
    heads: tuple[int, ...]
    worst_head: int | None
    maps: int
    of: int
    metric: str
    value: float | None
    threshold: float
    also: tuple[Further, ...]
    message: str
    remedy: str
    accepted: bool = False


class Skipped(NamedTuple):
    """A check that could not judge `maps` maps, or not all of each, and why."""

    id: str
    reason: str
    maps: int


class Silent(NamedTuple):
    """A check that judged no map of `layers` of the `of` layers at the last steps, and why."""

    id: str
    reasons: tuple[str, ...]
    layers: int
    of: int


class Information(NamedTuple):
    """A line about a run that is no finding: numbers against rules of thumb, what they mean."""

    run: str
    message: str


class LayerRow(NamedTuple):
    """One line of the table of verdicts: a layer at its last step, head by head."""

    run: str
    phase: str
    step: int
    layer: int
    maps: int
    heads: tuple[tuple[int, Verdict], ...]


class LookedAt(NamedTuple):
    """What was looked at of one run and phase: its maps over all steps, and what the last has.

    `steps` are counted from `first_step` to `last_step`; `heads` is the most that are told of a
    layer, `of_heads` the most that one was judged from.
    """

    run: str
    phase: str
    maps: int
    steps: int
    first_step: int
    last_step: int
    layers: int
    heads: int
    of_heads: int
    items: int


class DamagedPiece(Protocol):
    """A piece of the input that was skipped (`igaviz.dump.data.Damage`)."""

    @property
    def path(self) -> str:
        """The file."""

    @property
    def where(self) -> str:
        """The place inside it, empty for the file as a whole."""

    @property
    def reason(self) -> str:
        """What was wrong."""


@dataclass(frozen=True)
class Diagnosis:
    """Everything that `igaviz diagnose` says.

    `verdict` is the worst severity among `findings`, accepted or not, which come from the last
    step of each run and phase; `history` holds what was found at earlier steps only. `maps` counts
    every map that was looked at, at any step, `looked_at` tells them apart, `checks` are the ids
    of the checks that might speak, `silent` which of them could not, at the last step of each run
    and phase. `layers` is the table. `by_map` lists the maps that fired at
    the last step, each as a finding of its own, worst first, `by_map_left_out` how many more did.
    """

    verdict: Severity
    maps: int
    findings: tuple[Finding, ...]
    history: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    damaged: tuple[DamagedPiece, ...]
    information: tuple[Information, ...]
    layers: tuple[LayerRow, ...]
    looked_at: tuple[LookedAt, ...] = ()
    checks: tuple[str, ...] = ()
    silent: tuple[Silent, ...] = ()
    by_map: tuple[Finding, ...] = ()
    by_map_left_out: int = 0

    def __repr__(self) -> str:
        """The verdict and how much it is of, in a line: all of it is pages long."""
        found = f"{len(self.findings)} findings" if self.judged else "nothing judged"
        return f"<Diagnosis: {self.verdict}, {found} in {self.maps} maps>"

    @property
    def judged(self) -> bool:
        """Whether any of `checks` judged anything of the last step of a run and phase, or found it.

        Checks that are a line of information alone are not among them.
        """
        silent = {one.id for one in self.silent if one.layers == one.of}
        able = self.maps > 0 and not silent.issuperset(self.checks)
        return able or bool(self.findings)

    def fails(self, fail_on: Severity | None) -> bool:
        """Whether something that isn't accepted was found at or above `fail_on` (None: never)."""
        return fail_on is not None and any(
            finding.severity >= fail_on for finding in self.findings if not finding.accepted
        )
