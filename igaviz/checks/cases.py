"""From measurements to cases: what each check decides on each map, and shows on a layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from igaviz.checks.check import Check
from igaviz.checks.finding import Severity
from igaviz.checks.rules import Outcome, Thresholds, Unjudged
from igaviz.checks.settings import Settings
from igaviz.checks.severity import head_shows, severity_by_share
from igaviz.checks.silence import silenced
from igaviz.checks.table import CHECKS, find_check
from igaviz.format import MapId
from igaviz.metrics.data import Measurement
from igaviz.metrics.sketch import closest

_UNIT = find_check("unit-suspect")
_RULED = tuple(check for check in CHECKS if check.rule is not None)


@dataclass(frozen=True)
class Judgement:
    """What the checks decided on one map: outcomes by id, and why the others have none."""

    measurement: Measurement
    outcomes: Mapping[str, Outcome]
    unjudged: Mapping[str, str]

    def not_judged(self, check: Check) -> str:
        """Why `check` decided nothing on this map, or what of it is left out; empty for neither."""
        outcome = self.outcomes.get(check.id)
        return self.unjudged.get(check.id, "") if outcome is None else outcome.left_out

    def fired(self, check: Check) -> bool:
        """Whether `check` fired on this map."""
        outcome = self.outcomes.get(check.id)
        return outcome is not None and outcome.fired


Fired = tuple[tuple[Measurement, Outcome], ...]


@dataclass(frozen=True)
class Case:
    """One check that was found on one layer (or, of scope `item`, on one batch item).

    `heads` show it; `fired` are the maps on which it fired, the worst first, `of` those on which
    it was judged. Its severity comes from the layer's `of_heads`, of which `showing` show it: more
    than `heads` where only some are told of.
    """

    check: Check
    severity: Severity
    heads: tuple[int, ...]
    fired: Fired
    of: int
    showing: int = 1
    of_heads: int = 1


def judge_maps(measurements: Sequence[Measurement], settings: Settings) -> list[Judgement]:
    """What every check decides on each map of a layer, before any selection."""
    thresholds = {check.id: settings.thresholds_of(check) for check in CHECKS}
    return [_judge_map(measurement, thresholds) for measurement in with_twins(measurements)]


def with_twins(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The measurements of a layer, each with the cosine of the head of its item that is most alike.

    One that has it already, or stands alone, stays as it is.
    """
    known = list(measurements)
    items: dict[tuple[int, int], list[Measurement]] = defaultdict(list)
    for m in known:
        if m.sketch is not None:
            items[m.id.rank, m.id.batch].append(m)
    twins: dict[MapId, float] = {}
    for maps in items.values():
        found = closest([m.sketch for m in maps if m.sketch is not None])
        twins.update((m.id, twin) for m, twin in zip(maps, found, strict=True) if twin is not None)
    return [replace(m, twin_cosine=twins[m.id]) if m.id in twins else m for m in known]


def _judge_map(m: Measurement, thresholds: Mapping[str, Thresholds]) -> Judgement:
    outcomes: dict[str, Outcome] = {}
    unjudged: dict[str, str] = {}

    def fired(check_id: str) -> bool:
        return check_id in outcomes and outcomes[check_id].fired

    reasons: dict[tuple[tuple[str, ...], bool], str | None] = {}  # many checks share silences
    for check in _RULED:  # D004, unless-conditions and their checks stand in the order of need
        unit = outcomes.get(_UNIT.id)
        key = check.silences, unit is not None and unit.fired
        if key not in reasons:
            reasons[key] = silenced(m, check.silences, unit_suspect=key[1])
        reason = reasons[key]
        assert check.rule is not None
        result = Unjudged(reason) if reason else check.rule(m, thresholds[check.id])
        if isinstance(result, Unjudged):
            unjudged[check.id] = result.reason
        elif check.unless and any(fired(other) for other in check.unless):
            outcomes[check.id] = result._replace(fired=False)
        else:
            outcomes[check.id] = result
    return Judgement(m, outcomes, unjudged)


def layer_cases(judgements: Sequence[Judgement], settings: Settings) -> list[Case]:
    """The selected checks that a layer shows, by the share of its heads that show them."""
    n_heads = len({judgement.measurement.id.head for judgement in judgements})
    fired = {check for judged in judgements for check, out in judged.outcomes.items() if out.fired}
    found = []
    for check in settings.checks:
        if check.id not in fired:
            continue
        if check.scope == "item":
            found.extend(_item_cases(check, judgements))
            continue
        judged = [judgement for judgement in judgements if check.id in judgement.outcomes]
        heads = _heads_that_show(check, judged)
        share = settings.thresholds_of(check)["heads"] if check.scope == "layer" else 0.0
        if not heads or len(heads) < share * n_heads:
            continue
        severity = (
            check.cap if check.invariant else severity_by_share(len(heads), n_heads, check.cap)
        )
        fired_first = _worst_first(check, judged)
        found.append(Case(check, severity, heads, fired_first, len(judged), len(heads), n_heads))
    return found


def narrowed(cases: Iterable[Case], judgements: Sequence[Judgement]) -> list[Case]:
    """The cases of a layer as far as `judgements`, some of its maps, show them.

    How severe a case is stays what the whole layer makes it.
    """
    found = []
    for case in cases:
        told = {j.measurement.id for j in judgements if case.check.id in j.outcomes}
        if case.check.scope == "item":
            item = case.fired[0][0].id
            told = {i for i in told if (i.rank, i.batch) == (item.rank, item.batch)}
        fired = tuple(pair for pair in case.fired if pair[0].id in told)
        heads = tuple(head for head in case.heads if head in {i.head for i in told})
        if fired and heads:
            found.append(replace(case, heads=heads, fired=fired, of=len(told)))
    return found


def _heads_that_show(check: Check, judged: Sequence[Judgement]) -> tuple[int, ...]:
    by_head: dict[int, list[bool]] = defaultdict(list)
    for judgement in judged:
        by_head[judgement.measurement.id.head].append(judgement.fired(check))
    return tuple(
        head
        for head, fired in sorted(by_head.items())
        if (any(fired) if check.invariant else head_shows(sum(fired), len(fired)))
    )


def _item_cases(check: Check, judgements: Sequence[Judgement]) -> list[Case]:
    items: dict[tuple[int, int], list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        if check.id in judgement.outcomes:
            identity = judgement.measurement.id
            items[identity.rank, identity.batch].append(judgement)
    cases = []
    for _, judged in sorted(items.items()):
        fired = _worst_first(check, judged)
        if fired:
            heads = tuple(sorted({m.id.head for m, _ in fired}))
            cases.append(Case(check, check.cap, heads, fired, len(judged)))
    return cases


def _worst_first(check: Check, judged: Iterable[Judgement]) -> Fired:
    fired = [(j.measurement, j.outcomes[check.id]) for j in judged if j.fired(check)]
    return tuple(sorted(fired, key=lambda pair: (-pair[1].excess, pair[0].id)))


def cause_of(case: Case, cases: Sequence[Case]) -> Case | None:
    """The case under which `case` is told: as bad at least, and on half of its heads at least."""
    for cause in cases:
        if cause.check.id in case.check.consequence_of and cause.severity >= case.severity:
            shared = len(set(case.heads) & set(cause.heads))
            if 2 * shared >= len(case.heads):
                return cause
    return None


Ranked = tuple[Severity, Check]


def standing(ranked: Sequence[Ranked]) -> list[Ranked]:
    """What was found together, without what another of it explains and outranks or equals."""

    def explained(severity: Severity, check: Check) -> bool:
        return any(
            cause.id in check.consequence_of and other >= severity for other, cause in ranked
        )

    return [pair for pair in ranked if not explained(*pair)]


def standing_on(judgement: Judgement, cases: Sequence[Case], settings: Settings) -> list[Ranked]:
    """The selected checks that stand on one map of a layer which shows `cases`.

    Each has its severity there; one that fired on the map and isn't shown is a note, unless it is
    of scope `layer`, which says nothing then.
    """
    severities = {case.check.id: case.severity for case in cases}
    return standing(
        [
            (severities.get(check.id, Severity.NOTE), check)
            for check in settings.checks
            if judgement.fired(check) and (check.id in severities or check.scope != "layer")
        ]
    )
