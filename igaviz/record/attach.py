"""Which modules of a model are recorded, and what their layers are called."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from torch import nn

from igaviz.errors import RecordingError
from igaviz.record.active import TapCall
from igaviz.record.calls_tap import calls_tap
from igaviz.record.capture import LayerName
from igaviz.record.families import FAMILIES, Family, family_of
from igaviz.record.settings import format_number
from igaviz.record.sharded import class_name

_log = logging.getLogger(__name__)
_WRAPPERS = re.compile(
    r"\b(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?:\.|$)"
)
_SEEN_THROUGH = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Wrappers that keep a module under one of these names have its attributes, as if they were it."""

_LOOKS_LIKE_ATTENTION = re.compile(r"attention|invariantpoint|\bipa\b|\biga\b", re.IGNORECASE)
_TAP_HINT = (
    "call igaviz.tap(..., module=self) in the layer's forward, where logits and weights are at "
    "hand; where tap is called already, but in another file than the layer's, write taps_itself = "
    "True and a layer_idx into the layer's class, or leave attach out: taps are heard without it; "
    "a layer that you don't want to change is described by attach(model, families=[...]) "
    "(docs/recording.md)"
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

    A module that taps itself is known by its code, or says `taps_itself = True`. Its number among
    its model's layers is its `layer_idx`; without that one that doesn't say so has the number that
    it tells `tap`. Its name comes with `module=self` in its call of `tap`. Modules that are watched
    are numbered in the order of their first calls, each call of a shared module by itself. The
    layers of a second model are numbered on from the first one's highest, where they have a
    `layer_idx` or are watched.
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
        taps = {module for _, module in tapping}
        watched = list(_that_are_recognised(model, (*families, *FAMILIES), taps))
        if not tapping and not watched:
            raise RecordingError(
                f"no layer of {class_name(model)} records itself or is recognised"
                f"{_lookalikes(model, frozenset())}",
                hint=_TAP_HINT,
            )
        unknown = _lookalikes(model, {layer.module for layer in watched} | taps)
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
        number = format_number("tap's layer", call.layer)
        if not isinstance(call.module, nn.Module):
            if not isinstance(call.module, str | None):
                raise RecordingError(
                    f"tap, layer {number}: module is {call.module!r}",
                    hint="module=self, or the layer's name as a string",
                )
            return LayerName(number, call.module or "", call=call.call)
        own, module = self._names.get(call.module, (number, class_name(call.module)))
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
        """Where they have no `layer_idx` of their own, their number is what they tell `tap`."""
        if not _have_numbers(fresh):
            found = {module: (None, name) for name, module in fresh if not _says(module)}
            self._names.update(found)
            fresh = [(name, module) for name, module in fresh if module not in found]
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
    """Those that say so, and those that don't say and whose code calls `tap`."""
    by_code = {kind: calls_tap(kind) for kind in {type(module) for module in model.modules()}}
    for name, module in _modules_of(model):
        said = getattr(module, "taps_itself", None)
        if said if isinstance(said, bool) else by_code[type(module)]:
            yield _qualified(name, module), module


def _that_are_recognised(
    model: nn.Module, families: Sequence[Family], tapping: Set[nn.Module]
) -> Iterator[WatchedLayer]:
    for name, module in _modules_of(model):
        if module not in tapping:
            family = family_of(module, families)
            if family is not None:
                yield WatchedLayer(module, _qualified(name, module), family)


def _says(module: nn.Module) -> bool:
    """Whether it says that it taps."""
    return getattr(module, "taps_itself", None) is True


def _have_numbers(tapping: Sequence[tuple[str, nn.Module]]) -> bool:
    """Whether each has a `layer_idx` of its own."""
    numbers = {getattr(module, "layer_idx", None) for _, module in tapping}
    return len(numbers) == len(tapping) and all(
        isinstance(number, int) and number >= 0 for number in numbers
    )


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
    return _WRAPPERS.sub("", name).strip(".") or class_name(module)


def _index(name: str, module: nn.Module) -> int:
    try:
        return format_number(f"layer_idx of {name}", getattr(module, "layer_idx", None))
    except RecordingError as error:
        raise RecordingError(
            str(error),
            hint="a layer with taps_itself = True has its number among its model's layers in "
            "self.layer_idx",
        ) from None


def _lookalikes(model: nn.Module, recorded: Set[nn.Module]) -> str:
    """Which kinds of its modules look like attention and aren't recorded, as a message's tail."""
    below = {part for module in recorded for part in module.modules()}
    others = [m for m in model.modules() if m not in below and below.isdisjoint(m.modules())]
    kinds = sorted({class_name(module) for module in others})
    alike = [kind for kind in kinds if _LOOKS_LIKE_ATTENTION.search(kind)]
    return f"; it holds {', '.join(alike[:5])}, not recognised" if alike else ""
