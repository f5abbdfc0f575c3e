"""The per-head numbers of a step, over the whole batch: lines of JSON, and the classic line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from igaviz.metrics.line import classic_line
from igaviz.record.active import TapCall
from igaviz.record.capture import LayerName, Moment
from igaviz.record.settings import Settings
from igaviz.record.tensors import Sizes, valid_residues


class ScalarCapture:
    """The numbers of each layer of one step. `keep` keeps lines, `echo` prints the classic one."""

    def __init__(self, moment: Moment, settings: Settings, *, keep: bool, echo: bool) -> None:
        self._moment = moment
        self._settings = settings
        self._keep = keep
        self._echo = echo
        self._lines: list[dict[str, Any]] = []

    def take(self, call: TapCall, sizes: Sizes, name: LayerName) -> None:
        """Measure all items of the batch that have a valid residue."""
        chosen = self._settings.layers is None or name.number in self._settings.layers
        if not self._keep and not chosen:
            return
        from igaviz.record.numbers import merge_items

        items = [
            self._measure(call, position, residues)
            for position in range(sizes.items)
            if len(residues := valid_residues(call.mask, position, sizes.residues))
        ]
        if not items:
            return
        values = merge_items(items)
        if self._keep:
            line = {"layer": name.number, "maps": len(items), "heads": [*range(sizes.heads)]}
            self._lines.append(line | values)
        if self._echo and chosen:
            print(self._classic_line(name.number, values), flush=True)

    def lines(self, attempt: int) -> list[dict[str, Any]]:
        """The lines of the scalars file."""
        own = {"step": self._moment.step, "phase": self._moment.phase, "attempt": attempt}
        return [own | line for line in self._lines]

    def _measure(self, call, position, residues):
        from igaviz.record.numbers import head_numbers

        return head_numbers(call, position, residues)

    def _classic_line(self, layer: int, values: Mapping[str, Sequence[float | None]]) -> str:
        """The line with each number averaged over the chosen heads."""
        heads = self._settings.heads

        def mean(metric: str) -> float | None:
            per_head = values[metric]
            chosen = per_head if heads is None else [per_head[head] for head in heads]
            finite = [value for value in chosen if value is not None]
            return math.fsum(finite) / len(finite) if finite else None

        return classic_line(
            layer,
            self._moment.step,
            mean("gamma"),
            mean("geo_bias_mean"),
            mean("local_attn"),
            mean("global_attn"),
        )
