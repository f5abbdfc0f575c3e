"""Reading layers from outside, for the time of one due step and no longer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from igaviz.errors import RecordingError
from igaviz.record import active
from igaviz.record.attach import Layers, WatchedLayer
from igaviz.record.families import AttentionCall
from igaviz.record.gradient import with_slope
from igaviz.record.sharded import on_this_rank
from igaviz.record.tensors import coarsest_dtype

_SOFTMAX = frozenset(
    {torch.softmax, torch.Tensor.softmax, torch.nn.functional.softmax, torch.special.softmax}
)

Guard = Callable[[], AbstractContextManager[None]]
"""Makes a context in which an exception ends the recording and not the training."""

_Forward = Callable[..., Any]
_Around = Callable[[_Forward, Sequence[Any], Mapping[str, Any]], Any]
"""Calls a module's own forward with its arguments, and gives what that gives."""


@dataclass(eq=False)
class _Call:
    """One call of a watched layer that is under way."""

    layer: WatchedLayer
    bind: Callable[[], inspect.BoundArguments]
    """The arguments of the call, by name."""

    outputs: dict[str, Any] = field(default_factory=dict)
    is_recorded: bool = False


class Watch:
    """The watched layers of attached models while a step is open; `take` gets each call's terms.

    Between `open` and `close` the `forward` of the layers, of their parts and of the modules around
    them stands behind one of ours. A forward begins where a module is called from
    outside of all of them: of a module that is called so again (gradient accumulation, the second
    pass of self-conditioning) the first forward is read.
    """

    def __init__(
        self, layers: Layers, take: Callable[[active.TapCall], None], guard: Guard
    ) -> None:
        self._layers = layers
        self._take = take
        self._guard = guard
        self._cleanup = ExitStack()
        self._depth = 0
        self._reading = False
        self._begun: set[nn.Module] = set()
        self._calls: dict[nn.Module, int] = {}
        self._under_way: list[_Call] = []

    def open(self) -> None:
        """Begin to read; `close` must follow."""
        for layer in self._layers.watched():
            self._stand_before(layer.module, self._around_layer(layer))
            for name, part in layer.family.parts(layer.module).items():
                self._stand_before(part, self._keeping_output(layer, name))
        for module in self._layers.around_watched():
            self._stand_before(module, self._around_module(module))

    def close(self) -> None:
        """Leave the models as they were; nothing where that is done already."""
        self._cleanup.close()

    def has_read_what_taps(self) -> bool:
        """Whether a tap that is heard now is of a layer that was read from outside already.

        One that taps before its softmax isn't read any more: a call is recorded once.
        """
        if not self._under_way:
            return False
        call = self._under_way[-1]
        already, call.is_recorded = call.is_recorded, True
        return already

    def _stand_before(self, module: nn.Module, around: _Around) -> None:
        """Let each call of `module` go through `around`.

        Not by hooks: those of a module don't run when Ctrl-C ends its forward, and a copy of the
        model that is made meanwhile would keep them.
        """
        ours = _WatchedForward(module, around)
        module.__dict__["forward"] = ours
        self._cleanup.callback(ours.leave)

    def _around_module(self, module: nn.Module) -> _Around:
        def around(
            forward: _Forward, arguments: Sequence[Any], keywords: Mapping[str, Any]
        ) -> object:
            with self._entered(module):
                return forward(*arguments, **keywords)

        return around

    def _around_layer(self, layer: WatchedLayer) -> _Around:
        signature = inspect.signature(layer.module.forward)

        def around(
            forward: _Forward, arguments: Sequence[Any], keywords: Mapping[str, Any]
        ) -> object:
            with self._entered(layer.module) as reading:
                if not reading:
                    return forward(*arguments, **keywords)
                # Bound only when they are needed: arguments that don't fit are the layer's own to
                # complain about, and it may take more than its signature shows.
                call = _Call(layer, partial(signature.bind_partial, *arguments, **keywords))
                self._under_way.append(call)
                try:
                    with _SoftmaxMode(self._softmax_ran):
                        output = forward(*arguments, **keywords)
                finally:
                    self._under_way.pop()
                with self._guard():
                    _check_read(call)
                return output

        return around

    @contextmanager
    def _entered(self, module: nn.Module) -> Iterator[bool]:
        """Whether what happens in this call of `module` is to be read."""
        if active.in_backward() or active.capturing():  # a checkpoint's recomputation, or no run
            yield False
            return
        if self._depth == 0:
            self._reading = module not in self._begun
            self._begun.add(module)
        self._depth += 1
        try:
            yield self._reading
        finally:
            self._depth -= 1

    def _keeping_output(self, layer: WatchedLayer, name: str) -> _Around:
        def around(
            forward: _Forward, arguments: Sequence[Any], keywords: Mapping[str, Any]
        ) -> object:
            output = forward(*arguments, **keywords)
            if self._under_way and self._under_way[-1].layer is layer:
                self._under_way[-1].outputs[name] = output
            return output

        return around

    def _softmax_ran(self, logits: Tensor, weights: Tensor, axis: int) -> None:
        """Read the layer now: nothing of it was overwritten yet."""
        call = self._under_way[-1]
        if call.is_recorded or not _are_maps(logits, axis):
            return
        call.is_recorded = True
        with self._guard(), torch.no_grad(), torch.autocast(logits.device.type, enabled=False):
            self._take(self._tap_call(call, logits, weights, axis))

    def _tap_call(self, call: _Call, logits: Tensor, weights: Tensor, axis: int) -> active.TapCall:
        layer, module = call.layer, call.layer.module
        family = layer.family
        number_of_call = self._calls.get(module, 0)
        self._calls[module] = number_of_call + 1
        try:
            # What is computed of a tensor that is spread over ranks would wait for the others.
            terms = family.terms(
                module,
                AttentionCall(
                    _each_on_this_rank(_by_name(call.bind())),
                    _each_on_this_rank(call.outputs),
                    on_this_rank("logits", logits),
                    on_this_rank("weights", weights),
                    axis,
                ),
            )
            source = family.gamma_source(module)
            gamma, slope = with_slope(
                partial(family.gamma, module), on_this_rank("the parameter of γ", source)
            )
        except RecordingError as error:
            raise RecordingError(
                f"{layer.name} ({family.name}): {error}", hint=error.hint
            ) from None
        return active.TapCall(
            layer=self._layers.number(layer, number_of_call),
            attention=terms.attention,
            logits_before=terms.logits_before,
            geo_bias=terms.geo_bias,
            gamma=gamma,
            ca=terms.ca,
            mask=terms.mask,
            pair_bias=terms.pair_bias,
            logits_after=None,
            sigma=None,
            log_det_min=None,
            sigma_floor_share=None,
            geo_bias_sign=1,
            module=module,
            call=number_of_call,
            # The terms were computed anew in float32; what the layer computed in is the logits'.
            compute_dtype=coarsest_dtype((logits,)),
            gamma_source=source,
            gamma_slope=slope,
        )


def _each_on_this_rank(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: on_this_rank(name, value) if isinstance(value, Tensor) else value
        for name, value in values.items()
    }


def _are_maps(logits: Tensor, axis: int) -> bool:
    """Whether a softmax over `axis` is attention: of queries and as many keys, in this order."""
    if logits.ndim < 3 or axis not in (-1, -2):
        return False
    return logits.shape[axis] == logits.shape[axis - 1]


def _by_name(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Arguments by name; also those that a forward takes as **keywords and hands on."""
    named = dict(bound.arguments)
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name, {})
    return named


def _check_read(call: _Call) -> None:
    if not call.is_recorded:
        layer = call.layer
        raise RecordingError(
            f"{layer.name} ({layer.family.name}) ran without a softmax over maps, [*, N, N]",
            hint="fused attention never forms the weights: tap(...) where logits are at hand",
        )


class _WatchedForward:
    """What stands in for a module's `forward` until `leave`."""

    def __init__(self, module: nn.Module, around: _Around) -> None:
        self._module = module
        self._around: _Around | None = around
        self._before = module.__dict__.get("forward")
        self._forward = module.forward
        # Who asks for the signature of a forward is shown the module's own.
        self.__wrapped__ = module.forward

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401
        # What a due step compiles for the first time has nothing of ours in it either.
        if self._around is None or torch.compiler.is_compiling():
            return self._forward(*arguments, **keywords)
        return self._around(self._forward, arguments, keywords)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """A copy of the model, in memory or in a file, has its own forward and nothing of ours."""
        if self._before is None:
            return getattr, (self._module, "forward")
        return getattr, (SimpleNamespace(forward=self._before), "forward")

    def leave(self) -> None:
        """Give the module its own `forward` back.

        Another recorder's may stand before this one; then it goes when that one goes.
        """
        self._around = None
        current = self._module.__dict__.get("forward")
        while isinstance(current, _WatchedForward) and current._around is None:
            if current._before is None:
                del self._module.__dict__["forward"]
            else:
                self._module.__dict__["forward"] = current._before
            current = current._before


class _SoftmaxMode(TorchFunctionMode):
    """Tells `ran` of every softmax, as function, method or module: logits, weights, axis."""

    def __init__(self, ran: Callable[[Tensor, Tensor, int], None]) -> None:
        super().__init__()
        self._ran = ran

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func in _SOFTMAX:
            logits = args[0] if args else kwargs["input"]
            axis = args[1] if len(args) > 1 else kwargs.get("dim")
            if isinstance(axis, int):
                self._ran(logits, result, axis if axis < 0 else axis - logits.ndim)
        return result
