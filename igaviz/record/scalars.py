"""The per-head numbers of a step, over the whole batch: lines of JSON, and the classic line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from igaviz.errors import RecordingError
from igaviz.metrics.line import classic_line
from igaviz.record.active import TapCall
from igaviz.record.batch import BatchItem
from igaviz.record.capture import LayerName, Moment
from igaviz.record.numbers import head_numbers, merge_items
from igaviz.record.settings import Settings
from igaviz.record.tensors import Sizes, device_cut

HeadValues = Mapping[str, Sequence[float | None]]
"""Metric → its value for each head."""


class ScalarCapture:
    """The numbers of each layer of one step. `keep` keeps lines, `echo` prints the classic one."""

    def __init__(self, moment: Moment, settings: Settings, *, keep: bool, echo: bool) -> None:
        self._moment = moment
        self._settings = settings
        self._keep = keep
        self._echo = echo
        self._ca: dict[int, Tensor] = {}
        self._lines: list[dict[str, Any]] = []

    def take(
        self, call: TapCall, sizes: Sizes, name: LayerName, items: Mapping[int, BatchItem]
    ) -> None:
        """Measure all items of the batch; prints the classic line where asked."""
        chosen = self._settings.layers is None or name.number in self._settings.layers
        echo = self._echo and chosen
        if not items or not (self._keep or echo):
            return
        values = merge_items([self._measure(call, item) for item in items.values()])
        if self._keep:
            line = {"layer": name.number, "maps": len(items), "heads": [*range(sizes.heads)]}
            self._lines.append({**line, **values})
        if echo:
            print(self._classic_line(name.number, values), flush=True)

    def lines(self, attempt: int) -> list[dict[str, Any]]:
        """The lines of the scalars file."""
        own = {"step": self._moment.step, "phase": self._moment.phase, "attempt": attempt}
        return [own | line for line in self._lines]

    def _measure(self, call: TapCall, item: BatchItem) -> dict[str, Tensor]:
        def cut(values: Tensor | None, axes: int) -> Tensor | None:
            if values is None:
                return None
            return device_cut(values[item.position], residues=item.kept, axes=axes)

        ca = cut(call.ca, 1)
        if ca is None:
            ca = self._ca.get(item.position)
        if ca is None:
            raise RecordingError(
                f"layer {call.layer} gave no ca, and no layer before it did",
                hint="tap(..., ca=coordinates), [B, N, 3], in the first layer at least",
            )
        self._ca[item.position] = ca.clone()
        return head_numbers(
            ca=ca,
            length_unit=self._settings.length_unit,
            logits_before=cut(call.logits_before, 2),
            geo_bias=cut(call.geo_bias, 2),
            attention=cut(call.attention, 2),
            gamma=call.gamma,
            geo_bias_sign=call.geo_bias_sign,
            residue_index=_index(item.fields["residue_index"], ca),
            chain_index=_index(item.fields["chain_index"], ca),
        )

    def _classic_line(self, layer: int, values: HeadValues) -> str:
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


def _index(values: Any, like: Tensor) -> Tensor | None:  # noqa: ANN401 (numpy's arrays)
    return None if values is None else torch.as_tensor(values, device=like.device)
