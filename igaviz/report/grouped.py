"""Findings put together for reading: one check's over many layers, many heads in few words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from igaviz.checks.check import Check
from igaviz.checks.finding import Finding, LayerRow, Severity
from igaviz.checks.table import find_check
from igaviz.checks.telling import telling
from igaviz.checks.wording import counted, ranges, span

MOST_PLACES = 6
"""Layers that show a check on other heads each are told apart up to here."""

_MOST_RUNS = 4
"""Heads in more stretches than this are counted, not listed."""

Heads = dict[tuple[str, str, int], int]
"""By (run, phase, layer): how many heads there are."""


@dataclass(frozen=True)
class Group:
    """What one check found in one run and phase, the worst first."""

    check: Check
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Finding:
        """The finding that goes the furthest beyond its threshold, of the most severe ones."""
        return self.findings[0]

    @property
    def severity(self) -> Severity:
        """The worst of the findings' severities."""
        return self.worst.severity

    @property
    def layers(self) -> list[int]:
        """The layers in which it was found; none where it speaks of batch items."""
        return [finding.layer for finding in self.findings if finding.layer is not None]

    def by_severity(self) -> list[tuple[Severity, tuple[Finding, ...]]]:
        """The findings of each severity, the worst first."""
        parts = groupby(self.findings, key=lambda finding: finding.severity)
        return [(severity, tuple(findings)) for severity, findings in parts]


def grouped(findings: Iterable[Finding]) -> list[Group]:
    """Findings by run, phase and check: the most severe first, then the most telling check."""
    by_check: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        by_check.setdefault((finding.run, finding.phase, finding.id), []).append(finding)
    groups = [
        Group(find_check(check), tuple(sorted(found, key=_badness)))
        for (_, _, check), found in by_check.items()
    ]
    return sorted(
        groups,
        key=lambda g: (-g.severity, g.worst.run, g.worst.phase, telling(g.check.id)),
    )


def _badness(finding: Finding) -> tuple[float, ...]:
    """Orders findings of one check: by severity, then by how far they are beyond the threshold."""
    excess = 0.0
    if finding.value is not None and finding.value == finding.value:
        excess = abs(finding.value - finding.threshold)
    place = -1 if finding.layer is None else finding.layer, finding.rank or 0, finding.batch or 0
    return -finding.severity, -excess, *place


def head_counts(rows: Iterable[LayerRow]) -> Heads:
    """How many heads each layer of a diagnosis has."""
    return {(row.run, row.phase, row.layer): len(row.heads) for row in rows}


def places(findings: Sequence[Finding], heads: Heads) -> str:
    """Where findings of one check are: layers that show it on the same heads are put together.

    `layers 0-5, all 8 heads`; `layer 1, heads 1-2; layer 2, heads 0-5`; `items 0, 3`.
    """
    items = [finding for finding in findings if finding.layer is None]
    texts = [_items(items)] if items else []
    by_heads: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.layer is not None:
            by_heads.setdefault(_heads(finding, heads), []).append(finding)
    told = sorted(by_heads.items(), key=lambda pair: min(layers_of(pair[1])))
    for words, alike in told[:MOST_PLACES]:
        texts.append(f"{_numbered('layer', layers_of(alike))}, {words}")
    rest = [finding for _, alike in told[MOST_PLACES:] for finding in alike]
    if rest:
        shown = span((len(finding.heads) for finding in rest), lambda n: f"{n:.0f}")
        some = "head" if shown == "1" else "heads"
        texts.append(f"{_numbered('layer', layers_of(rest))}, {shown} {some} each")
    maps, of = sum(f.maps for f in findings), sum(f.of for f in findings)
    return f"{'; '.join(texts)} ({maps:,} of {counted(of, 'map')})"


def layers_of(findings: Iterable[Finding]) -> list[int]:
    """The layers that findings speak of."""
    return [finding.layer for finding in findings if finding.layer is not None]


def place(finding: Finding, heads: Heads) -> str:
    """Where one finding is: a layer, one map of it, or an item."""
    if finding.layer is None:
        return _items([finding])
    if finding.of == 1 and finding.batch is not None:
        rank = f", rank {finding.rank}" if finding.rank else ""
        return f"layer {finding.layer}, item {finding.batch}{rank}, head {finding.head}"
    return f"layer {finding.layer}, {_heads(finding, heads)}"


def numbers(findings: Sequence[Finding]) -> str:
    """Each number that a check decided by: its range over findings' worst maps, its threshold."""
    bound = find_check(findings[0].id).bound
    texts = []
    # A check that one of several metrics fires is told by each that did.
    for metric in dict.fromkeys(finding.metric for finding in findings):
        pairs = [(f.value, f.threshold) for f in findings if f.metric == metric]
        texts.append(_number(metric, pairs, bound))
    for index, further in enumerate(findings[0].also):
        pairs = [(f.also[index].value, f.also[index].threshold) for f in findings]
        texts.append(_number(further.metric, pairs, "threshold"))
    return ", ".join(texts)


def _number(metric: str, pairs: Sequence[tuple[float | None, float]], bound: str) -> str:
    known = [value for value, _ in pairs if value is not None]
    values = span(known) if known else "not recorded"
    thresholds = span(threshold for _, threshold in pairs)
    # Each finding holds its worst map's value: several are no range over all maps.
    each = " in the worst map of each" if len(known) > 1 else ""
    return f"{metric} {values}{each} ({bound} {thresholds})"


def _heads(finding: Finding, heads: Heads) -> str:
    there = heads.get((finding.run, finding.phase, finding.layer or 0), 0)
    if there == len(finding.heads) and there > 1:
        return f"all {there} heads"
    numbered = _numbered("head", finding.heads)
    many = there and numbered.count(",") >= _MOST_RUNS
    return f"{len(finding.heads)} of {there} heads" if many else numbered


def _items(findings: Sequence[Finding]) -> str:
    ranks = {finding.rank for finding in findings}
    if ranks <= {0, None}:
        return _numbered("item", [f.batch for f in findings if f.batch is not None])
    return "; ".join(f"item {f.batch}, rank {f.rank}" for f in findings[:MOST_PLACES]) + (
        f" and {len(findings) - MOST_PLACES} more" if len(findings) > MOST_PLACES else ""
    )


def _numbered(noun: str, found: Iterable[int]) -> str:
    distinct = set(found)
    return f"{noun}{'' if len(distinct) == 1 else 's'} {ranges(distinct)}"
