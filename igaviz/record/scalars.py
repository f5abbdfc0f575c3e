"""The per-head numbers of a step, over the whole batch: lines of JSON, and the classic line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from igaviz.errors import RecordingError
from igaviz.format import DEFAULT_PHASE
from igaviz.metrics.line import classic_line
from igaviz.record.active import TapCall
from igaviz.record.batch import BatchItem
from igaviz.record.capture import LayerName, Moment
from igaviz.record.host import HostCopy
from igaviz.record.numbers import LARGEST, NAMES, finite, head_numbers, merge_items, stack_items
from igaviz.record.settings import Settings
from igaviz.record.tensors import Sizes, device_cut


@dataclass(frozen=True, eq=False)
class _MeasuredLayer:
    """The numbers of one layer on their way to the host: [items, metrics, heads]."""

    number: int
    heads: int
    items: int
    copy: HostCopy
    echo: bool


HeadValues = Mapping[str, Sequence[float | None]]
"""Metric → its value for each head."""


class ScalarCapture:
    """The numbers of each layer of one step. `keep` keeps lines, `echo` prints the classic one."""

    def __init__(self, moment: Moment, settings: Settings, *, keep: bool, echo: bool) -> None:
        self.keep = keep
        self._moment = moment
        self._settings = settings
        self._echo = echo
        self._ca: dict[int, Tensor] = {}
        self._measured: list[_MeasuredLayer] = []

    def take(
        self, call: TapCall, sizes: Sizes, name: LayerName, items: Mapping[int, BatchItem]
    ) -> None:
        """Measure all items of the batch, on the device."""
        chosen = self._settings.layers is None or name.number in self._settings.layers
        echo = self._echo and chosen
        if not items or not (self.keep or echo):
            return
        stacked = stack_items([self._measure(call, item) for item in items.values()])
        copy = HostCopy(stacked, dtype=torch.float64)
        self._measured.append(_MeasuredLayer(name.number, sizes.heads, len(items), copy, echo))

    def finish(
        self, attempt: int, numbers: Mapping[str, float], gamma_gradients: Mapping[int, float]
    ) -> list[dict[str, Any]]:
        """The lines of the scalars file; prints the classic line of each layer where asked.

        Waits for the numbers, so it is for another thread than training's.
        """
        lines = []
        for layer in self._measured:
            values = merge_items(torch.from_numpy(layer.copy.array()))
            if layer.echo:
                print(self._classic_line(layer.number, values), flush=True)
            line: dict[str, Any] = {
                "step": self._moment.step,
                "phase": self._moment.phase,
                "attempt": attempt,
                "layer": layer.number,
                "maps": layer.items,
                "heads": [*range(layer.heads)],
            }
            norm = gamma_gradients.get(layer.number)
            if norm is not None:
                line["gamma_gradient_norm"] = finite(norm)
            if numbers:
                line["numbers"] = {name: finite(number) for name, number in numbers.items()}
            lines.append(line | values)
        return lines if self.keep else []

    def _measure(self, call: TapCall, item: BatchItem) -> dict[str, Tensor]:
        def cut(values: Tensor | None, axes: int) -> Tensor | None:
            if values is None:
                return None
            return device_cut(values[item.position], item.kept, axes=axes)

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


def as_dictionary(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The lines of one step as `{"iga/layer3/gamma": 0.81, …}`: means over heads.

    Metrics of which a batch keeps the largest are the largest of the heads too. A phase other than
    `train` stands before the layer: `iga/probe/layer3/gamma`.
    """
    found: dict[str, float] = {}
    for line in lines:
        phase = "" if line["phase"] == DEFAULT_PHASE else f"{line['phase']}/"
        prefix = f"iga/{phase}layer{line['layer']}"
        for name in NAMES:
            values = [value for value in line[name] if value is not None]
            if values:
                merged = max(values) if name in LARGEST else math.fsum(values) / len(values)
                found[f"{prefix}/{name}"] = merged
        norm = line.get("gamma_gradient_norm")
        if norm is not None:
            found[f"{prefix}/gamma_gradient_norm"] = norm
    return found
