"""Which modules of a model are recorded, and what their layers are called."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from torch import nn

from igaviz.errors import RecordingError
from igaviz.record.active import TapCall
from igaviz.record.capture import LayerName
from igaviz.record.families import FAMILIES, Family, family_of
from igaviz.record.settings import whole_number

_log = logging.getLogger(__name__)
_WRAPPERS = re.compile(
    r"\b(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?:\.|$)"
)
_SEEN_THROUGH = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Wrappers that keep a module under one of these names have its attributes, as if they were it."""

_LOOKS_LIKE_ATTENTION = re.compile(r"attention|invariantpoint|\bipa\b|\biga\b", re.IGNORECASE)
_TAP_HINT = (
    "call igaviz.tap(...) in the layer's forward, where logits and weights are at hand, or give "
    "attach a family of your own (docs/recording.md)"
)
TAPS_ITSELF = "taps itself"


def copies_refused() -> RecordingError:
    """What is wrong with `nn.DataParallel`."""
    return RecordingError(
        "nn.DataParallel runs each forward in copies of the model, each on a part of the batch: "
        "they can't be recorded",
        hint="torch.nn.parallel.DistributedDataParallel, started with torchrun, runs one process "
        "for each GPU; each may record (ranks=0, or ranks='all')",
    )


@dataclass(frozen=True, eq=False)
class WatchedLayer:
    """A module that is read from outside, as one of `family`."""

    module: nn.Module
    name: str
    family: Family


@dataclass(eq=False)
class _Model:
    """An attached model. Its watched layers get numbers when they are first called."""

    root: nn.Module
    watched: list[WatchedLayer] = field(default_factory=list)
    around: list[nn.Module] = field(default_factory=list)
    called: bool = False


@dataclass(eq=False)
class Layers:
    """The numbers and names of the layers of all attached models.

    A module that taps itself says so: `taps_itself = True`, its number among its model's layers in
    `layer_idx`, and `module=self` in its call of `tap`. Modules that are watched are numbered in
    the order of their first calls, each call of a shared module by itself. The layers of a second
    model are numbered on from the first one's highest.
    """

    _models: list[_Model] = field(default_factory=list)
    _names: dict[nn.Module, tuple[int | None, str]] = field(default_factory=dict)
    _numbers: dict[tuple[nn.Module, int], int] = field(default_factory=dict)

    @property
    def roots(self) -> tuple[nn.Module, ...]:
        """The attached models."""
        return tuple(model.root for model in self._models)

    def attach(self, model: nn.Module, families: Sequence[Family] = ()) -> dict[str, str]:
        """The layers of `model` that will be recorded: qualified name → how.

        `families` are asked before those that are known. Raises `RecordingError` where no layer is
        recognised, two have one number, or the model runs in copies of itself.
        """
        if any(isinstance(module, nn.DataParallel) for module in model.modules()):
            raise copies_refused()
        tapping = list(_that_tap_themselves(model))
        watched = list(_that_are_recognised(model, (*families, *FAMILIES)))
        if not tapping and not watched:
            raise RecordingError(
                f"no layer of {type(model).__name__} records itself or is recognised"
                f"{_lookalikes(model, frozenset())}",
                hint=_TAP_HINT,
            )
        unknown = _lookalikes(model, {layer.module for layer in watched} | {m for _, m in tapping})
        if unknown:
            _log.warning("igaviz: not recorded%s; hint: %s", unknown, _TAP_HINT)
        self._name_tapping(
            [(name, module) for name, module in tapping if module not in self._names]
        )
        fresh = [layer for layer in watched if layer.module not in self._names]
        self._names.update({layer.module: (None, layer.name) for layer in fresh})
        attached = self._attached(model)
        attached.watched += fresh
        attached.around = list(_modules_around({layer.module for layer in watched}, model))
        found = {name: TAPS_ITSELF for name, _ in tapping}
        return found | {layer.name: layer.family.name for layer in watched}

    def watched(self) -> list[WatchedLayer]:
        """The layers that must be read from outside."""
        return [layer for model in self._models for layer in model.watched]

    def around_watched(self) -> list[nn.Module]:
        """The modules that hold any of the watched layers, each once, outermost first."""
        return list(dict.fromkeys(m for model in self._models for m in model.around))

    def number(self, layer: WatchedLayer, call: int) -> int:
        """The number of one call of a watched layer: the same for the recorder's life."""
        if (layer.module, call) not in self._numbers:
            position = next(i for i, m in enumerate(self._models) if layer in m.watched)
            self._reserve(self._models[:position])
            self._models[position].called = True
            self._numbers[layer.module, call] = self._next()
        return self._numbers[layer.module, call]

    def name(self, call: TapCall) -> LayerName:
        """What the layer behind a call is called: as attached, else as the call says."""
        number = whole_number("tap's layer", call.layer, least=0)
        if not isinstance(call.module, nn.Module):
            return LayerName(number, call.module or "", call=call.call)
        own, module = self._names.get(call.module, (number, type(call.module).__name__))
        return LayerName(
            number if own is None else own, module, call.module.training, call=call.call
        )

    def forget(self) -> None:
        """Let go of all models."""
        self._models.clear()
        self._names.clear()

    def _attached(self, model: nn.Module) -> _Model:
        """What is kept of `model`: anew, or from when it was attached before."""
        found = next((known for known in self._models if known.root is model), None)
        if found is None:
            found = _Model(model)
            self._models.append(found)
        return found

    def _name_tapping(self, fresh: Sequence[tuple[str, nn.Module]]) -> None:
        if fresh:
            self._reserve(self._models)
        start = self._next()
        numbers = [start + _index(name, module) for name, module in fresh]
        for number, (name, module) in zip(numbers, fresh, strict=True):
            if numbers.count(number) > 1:
                raise RecordingError(
                    f"{name} shares layer_idx {module.layer_idx} with another layer",
                    hint="give each layer of a model a layer_idx of its own",
                )
        for number, (name, module) in zip(numbers, fresh, strict=True):
            self._names[module] = (number, name)

    def _next(self) -> int:
        """One more than the highest number so far."""
        own = (number for number, _ in self._names.values() if number is not None)
        return max((*own, *self._numbers.values()), default=-1) + 1

    def _reserve(self, models: Sequence[_Model]) -> None:
        """Number the watched layers of those `models` that were not called yet.

        They are taken in the order in which their model holds them, each as called once.
        """
        for model in models:
            if not model.called:
                model.called = True
                for layer in model.watched:
                    self._numbers[layer.module, 0] = self._next()


def _that_tap_themselves(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in _modules_of(model):
        if getattr(module, "taps_itself", False) is True:
            yield _qualified(name, module), module


def _that_are_recognised(model: nn.Module, families: Sequence[Family]) -> Iterator[WatchedLayer]:
    for name, module in _modules_of(model):
        if getattr(module, "taps_itself", False) is not True:
            family = family_of(module, families)
            if family is not None:
                yield WatchedLayer(module, _qualified(name, module), family)


def _modules_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """All modules but the wrappers that would pass for what they wrap."""
    for name, module in model.named_modules():
        if _SEEN_THROUGH.isdisjoint(name for name, _ in module.named_children()):
            yield name, module


def _modules_around(inner: Set[nn.Module], root: nn.Module) -> Iterator[nn.Module]:
    for module in root.modules():
        if module not in inner and any(part in inner for part in module.modules()):
            yield module


def _qualified(name: str, module: nn.Module) -> str:
    return _WRAPPERS.sub("", name).strip(".") or type(module).__name__


def _index(name: str, module: nn.Module) -> int:
    return whole_number(f"layer_idx of {name}", getattr(module, "layer_idx", None), least=0)


def _lookalikes(model: nn.Module, recorded: Set[nn.Module]) -> str:
    """Which kinds of its modules look like attention and aren't recorded, as a message's tail."""
    below = {part for module in recorded for part in module.modules()}
    others = [m for m in model.modules() if m not in below and below.isdisjoint(m.modules())]
    kinds = sorted({type(module).__name__ for module in others})
    alike = [kind for kind in kinds if _LOOKS_LIKE_ATTENTION.search(kind)]
    return f"; it holds {', '.join(alike[:5])}, not recognised" if alike else ""
