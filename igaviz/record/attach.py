"""Which modules of a model record themselves, and what their layers are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from torch import nn

from igaviz.errors import RecordingError
from igaviz.record.active import TapCall
from igaviz.record.capture import LayerName
from igaviz.record.settings import whole_number

_WRAPPERS = re.compile(
    r"\b(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?:\.|$)"
)
_LOOKS_LIKE_ATTENTION = re.compile(r"attention|invariantpoint|\bipa\b|\biga\b", re.IGNORECASE)


class Layers:
    """The numbers and names of the layers of all attached models.

    A module that taps itself says so: `taps_itself = True`, its number among its model's layers in
    `layer_idx`, and `module=self` in its call of `tap`. The layers of a second model are numbered
    on from the first one's highest.
    """

    def __init__(self) -> None:
        self._names: WeakKeyDictionary[nn.Module, tuple[int, str]] = WeakKeyDictionary()

    def attach(self, model: nn.Module) -> dict[int, str]:
        """The layers of `model` that will be recorded, number → qualified name.

        Raises `RecordingError` where it holds none, or two of one number.
        """
        found = list(_that_tap_themselves(model))
        if not found:
            raise RecordingError(
                f"no layer of {type(model).__name__} records itself{_lookalikes(model)}",
                hint="call igaviz.tap(...) in the layer's forward, where logits and weights are "
                "at hand (docs/recording.md)",
            )
        fresh = [(name, module) for name, module in found if module not in self._names]
        start = max((number for number, _ in self._names.values()), default=-1) + 1
        numbers = [start + _index(name, module) for name, module in fresh]
        for number, (name, module) in zip(numbers, fresh, strict=True):
            if numbers.count(number) > 1:
                raise RecordingError(
                    f"{name} shares layer_idx {module.layer_idx} with another layer",
                    hint="give each layer of a model a layer_idx of its own",
                )
        for number, (name, module) in zip(numbers, fresh, strict=True):
            self._names[module] = (number, name)
        return dict(sorted(self._names[module] for _, module in found))

    def name(self, call: TapCall) -> LayerName:
        """What the layer behind a call is called: as attached, else as the call says."""
        number = whole_number("tap's layer", call.layer, least=0)
        if not isinstance(call.module, nn.Module):
            return LayerName(number, call.module or "")
        number, module = self._names.get(call.module, (number, type(call.module).__name__))
        return LayerName(number, module, call.module.training)


def _that_tap_themselves(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules():
        if getattr(module, "taps_itself", False) is True:
            yield _WRAPPERS.sub("", name).strip(".") or type(module).__name__, module


def _index(name: str, module: nn.Module) -> int:
    return whole_number(f"layer_idx of {name}", getattr(module, "layer_idx", None), least=0)


def _lookalikes(model: nn.Module) -> str:
    """Which kinds of its modules look like attention, as the tail of a message."""
    kinds = sorted({type(module).__name__ for module in model.modules()})
    alike = [kind for kind in kinds if _LOOKS_LIKE_ATTENTION.search(kind)]
    return f"; it holds {', '.join(alike[:5])}, not recognised" if alike else ""
