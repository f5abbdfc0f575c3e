"""The per-head numbers of a step, over the whole batch: lines of JSON, and the classic line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from igaviz.errors import RecordingError
from igaviz.format import DEFAULT_PHASE
from igaviz.metrics.line import classic_line
from igaviz.metrics.table import LARGEST, SUMMED
from igaviz.record.active import TapCall
from igaviz.record.batch import BatchItem
from igaviz.record.capture import LayerName, Moment
from igaviz.record.host import HostCopy, Source, copy_to_host
from igaviz.record.numbers import NAMES, finite, head_numbers, merge_items
from igaviz.record.settings import Settings
from igaviz.record.tensors import Sizes, on_device


@dataclass(frozen=True, eq=False)
class _MeasuredLayer:
    """The numbers of one layer on their way to the host, [B, metrics, H], and whose they are.

    `items` are the positions in the batch of those that count.
    """

    number: int
    heads: int
    items: list[int]
    copy: HostCopy
    echo: bool


@dataclass(frozen=True, eq=False)
class _Residues:
    """What a step says of a batch's residues, [B, N] on the device of the maps; None: nothing."""

    valid: Tensor | None
    residue_index: Tensor | None
    chain_index: Tensor | None

    @classmethod
    def of(cls, items: Mapping[int, BatchItem], sizes: Sizes, device: torch.device) -> _Residues:
        """That of `items`, by position: those that have a valid residue."""
        valid = np.zeros((sizes.items, sizes.residues), dtype=bool)
        for position, item in items.items():
            valid[position, item.residues] = True
        return cls(
            valid=None if valid.all() else on_device(valid, device),
            residue_index=_padded("residue_index", items, sizes, device),
            chain_index=_padded("chain_index", items, sizes, device),
        )


HeadValues = Mapping[str, Sequence[float | None]]
"""Metric → its value for each head."""


class ScalarCapture:
    """The numbers of each layer of one step. `keep` keeps lines, `echo` prints the classic one."""

    def __init__(self, moment: Moment, settings: Settings, *, keep: bool, echo: bool) -> None:
        self.keep = keep
        self._moment = moment
        self._settings = settings
        self._echo = echo
        self._ca: Tensor | None = None
        self._residues: tuple[object, _Residues] | None = None
        self._measured: list[_MeasuredLayer] = []

    def take(
        self, call: TapCall, sizes: Sizes, name: LayerName, items: Mapping[int, BatchItem]
    ) -> None:
        """Measure all items of the batch, on the device."""
        chosen = self._settings.layers is None or name.number in self._settings.layers
        echo = self._echo and chosen
        if not items or not (self.keep or echo):
            return
        measured = Source(self._measure(call, sizes, items), torch.float64)
        copy = copy_to_host({name.number: measured})[name.number]
        self._measured.append(_MeasuredLayer(name.number, sizes.heads, [*items], copy, echo))

    def finish(
        self, attempt: int, numbers: Mapping[str, float], gamma_gradients: Mapping[int, float]
    ) -> list[dict[str, Any]]:
        """The lines of the scalars file; prints the classic line of each layer where asked.

        Waits for the numbers, so it is for another thread than training's.
        """
        lines = []
        for layer in self._measured:
            values = merge_items(torch.from_numpy(layer.copy.array())[layer.items])
            if layer.echo:
                print(self._classic_line(layer.number, values), flush=True)
            line: dict[str, Any] = {
                "step": self._moment.step,
                "phase": self._moment.phase,
                "attempt": attempt,
                "layer": layer.number,
                "maps": len(layer.items),
                "heads": [*range(layer.heads)],
            }
            norm = gamma_gradients.get(layer.number)
            if norm is not None:
                line["gamma_gradient_norm"] = finite(norm)
            if numbers:
                line["numbers"] = {name: finite(number) for name, number in numbers.items()}
            lines.append(line | values)
        return lines if self.keep else []

    def _measure(self, call: TapCall, sizes: Sizes, items: Mapping[int, BatchItem]) -> Tensor:
        """[B, metrics, H], of items without a valid residue too."""
        if call.ca is not None:
            self._ca = call.ca.detach().clone()
        ca = self._ca_of(items, sizes)
        if ca is None:
            raise RecordingError(
                f"layer {call.layer} gave no ca, and no layer before it did",
                hint="tap(..., ca=coordinates), [B, N, 3], in the first layer at least",
            )
        residues = self._residues_of(items, sizes, call.device)
        # Coordinates and γ may be kept elsewhere than the maps: on the host, say.
        return head_numbers(
            ca=ca.to(call.device),
            length_unit=self._settings.length_unit,
            valid=residues.valid,
            logits_before=call.logits_before,
            geo_bias=call.geo_bias,
            attention=call.attention,
            gamma=None if call.gamma is None else call.gamma.to(call.device),
            geo_bias_sign=call.geo_bias_sign,
            residue_index=residues.residue_index,
            chain_index=residues.chain_index,
        )

    def _ca_of(self, items: Mapping[int, BatchItem], sizes: Sizes) -> Tensor | None:
        """The last coordinates that were given [B, N, 3], None where `items` have none.

        The layer that gave them may have had more of the batch than this one, or more padding.
        """
        if self._ca is None:
            return None
        n_items, n = self._ca.shape[:2]
        if any(at >= n_items or item.residues[-1] >= n for at, item in items.items()):
            return None
        return pad(self._ca, (0, 0, 0, sizes.residues - n, 0, sizes.items - n_items))

    def _residues_of(
        self, items: Mapping[int, BatchItem], sizes: Sizes, device: torch.device
    ) -> _Residues:
        """What the step says of their residues, brought to the device once for all layers."""
        key = (sizes.items, sizes.residues, device, [*items])
        if self._residues is None or self._residues[0] != key:
            self._residues = key, _Residues.of(items, sizes, device)
        return self._residues[1]

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


def _padded(
    field: Literal["residue_index", "chain_index"],
    items: Mapping[int, BatchItem],
    sizes: Sizes,
    device: torch.device,
) -> Tensor | None:
    """One field of all items [B, N] int64, None where the step doesn't give it."""
    table = np.zeros((sizes.items, sizes.residues), dtype=np.int64)
    for position, item in items.items():
        values = item.fields[field]
        if values is None:
            return None
        table[position, item.residues] = values
    return on_device(table, device)


def as_dictionary(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The lines of one step as `{"iga/layer3/gamma": 0.81, …}`: means over heads.

    Of metrics of which a batch keeps the largest or the sum, it is that of the heads too. A phase
    other than `train` stands before the layer: `iga/probe/layer3/gamma`.
    """
    found: dict[str, float] = {}
    for line in lines:
        phase = "" if line["phase"] == DEFAULT_PHASE else f"{line['phase']}/"
        prefix = f"iga/{phase}layer{line['layer']}"
        for name in NAMES:
            values = [value for value in line[name] if value is not None]
            if values:
                found[f"{prefix}/{name}"] = _of_heads(name, values)
        norm = line.get("gamma_gradient_norm")
        if norm is not None:
            found[f"{prefix}/gamma_gradient_norm"] = norm
    return found


def _of_heads(name: str, values: Sequence[float]) -> float:
    if name in LARGEST:
        return max(values)
    whole = math.fsum(values)
    return whole if name in SUMMED else whole / len(values)
