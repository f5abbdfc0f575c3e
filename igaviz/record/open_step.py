"""A due step while it is open: it listens to layers and keeps what each gave first."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, SupportsFloat, cast

import torch
from torch import Tensor, nn

from igaviz.dump.scalars import is_name_of_number
from igaviz.dump.write import ATTRIBUTES_OF_A_STEP
from igaviz.errors import RecordingError
from igaviz.record import active
from igaviz.record.active import TapCall
from igaviz.record.attach import Layers, copies_refused
from igaviz.record.batch import BatchItems
from igaviz.record.capture import MapCapture, Moment
from igaviz.record.gradient import GammaGradient
from igaviz.record.host import HostCopy, Source, copy_to_host
from igaviz.record.per_item import PerItem
from igaviz.record.recording import Recording, SeenStep
from igaviz.record.scalars import ScalarCapture
from igaviz.record.settings import Settings
from igaviz.record.sharded import on_this_rank
from igaviz.record.tensors import TENSORS, check_call
from igaviz.record.watch import Watch


class OpenStep:
    """What one due step has seen so far. The first call of each layer counts, later ones don't.

    `maps` says whether full maps are due, `scalars` whether per-head numbers are.
    """

    def __init__(
        self,
        moment: Moment,
        settings: Settings,
        layers: Layers,
        recording: Recording,
        per_item: PerItem,
        *,
        maps: bool,
        scalars: bool,
    ) -> None:
        self.moment = moment
        self._layers = layers
        self._recording = recording
        self._per_item = per_item
        self._described = False
        self._batch = BatchItems(per_item)
        self._maps_due = maps
        # A trigger is judged when the maps are gone from the device: they are copied for it.
        copied = maps or (scalars and settings.trigger is not None)
        self._maps = MapCapture(moment, settings, self._hold) if copied else None
        echo = maps and settings.echo
        self._scalars = (
            ScalarCapture(moment, settings, keep=scalars, echo=echo) if scalars or echo else None
        )
        self.seen: dict[int, nn.Module | str | None] = {}
        """The layers that were recorded, by number."""

        self._held = 0
        self._numbers: dict[str, HostCopy | float] = {}
        self._gradients: dict[int, GammaGradient] = {}
        self._watch = Watch(layers, self._keep, self._guard)

    def listen(self) -> None:
        """Begin to hear taps and to read watched layers; `leave` must follow."""
        active.listen(self)
        self._watch.open()

    def leave(self) -> None:
        """Hear nothing more, and leave the models as they were."""
        active.dismiss(self)
        self._watch.close()

    def take(self, call: TapCall) -> None:
        """Keep what is due of a layer that taps, where it is the layer's first call in this step.

        A layer that is read from outside and turns out to tap is recorded once.
        """
        if not self._watch.has_read_what_taps():
            self._keep(call)
            return
        self._recording.tally.warn_once(
            "taps and is read",
            "layer %s is read from outside and calls tap(...) as well: the tap is left out; write "
            "taps_itself = True and a layer_idx into its class, and the tap is taken instead",
            call.layer,
        )

    def _keep(self, call: TapCall) -> None:
        """Keep what is due of one layer, where it is the layer's first call in this step."""
        if not self._recording.live:
            return
        with self._guard():
            if getattr(call.module, "_is_replica", False):
                raise copies_refused()
            name = self._layers.name(call)
            given, call = call, _on_this_rank(call)
            self._listen_to_gamma(given, name.number)
            if call.recomputed or name.number in self.seen:
                self._check_same_layer(call, name.number)
                return
            self.seen[name.number] = call.module
            sizes = check_call(call)
            with _outside_of_training(call):
                items = self._batch.of(call, sizes)
                if self._maps is not None:
                    self._maps.take(call, sizes, name, items)
                if self._scalars is not None:
                    self._scalars.take(call, sizes, name, items)

    def describe(self, about: Mapping[str, Any]) -> None:
        """Add what is said of the batch's items; that of a later batch counts for nothing.

        Raises `RecordingError` where the first was seen before it was described.
        """
        if self.seen and self._described:
            return
        if self.seen:
            raise RecordingError(
                f"step {self.moment.step}: its items are described after a layer was recorded",
                hint="call describe before the model",
            )
        self._described = True
        self._per_item = replace(self._per_item, **about)
        self._batch = BatchItems(self._per_item)

    def note(self, numbers: Mapping[str, float | Tensor]) -> None:
        """Add numbers of the step; what is none, or can't have its name, is left out and said."""
        for name, number in numbers.items():
            if name in ATTRIBUTES_OF_A_STEP:
                why = "every step has this name already"
            elif not is_name_of_number(name):
                why = "its name is empty, of over 64 letters, or can't be printed"
            elif (kept := _as_number(name, number)) is None:
                why = f"a number belongs there, or a tensor of one, and not {_described(number)}"
            else:
                self._numbers[name] = kept
                continue
            self._recording.tally.number_left_out(name, why, self.moment.step)

    def finish(self, *, interrupted: bool) -> None:
        """Hand what was seen over to be written; `interrupted` where training failed in it."""
        step = self.moment.step
        norms = {number: gradient.norm() for number, gradient in self._gradients.items()}
        gamma_gradients = copy_to_host(
            {number: Source(norm) for number, norm in norms.items() if norm is not None}
        )
        if not self.seen:
            self._recording.tally.count_empty(step)
            return
        if self._maps is not None:
            self._recording.tally.count_skipped(self._maps.empty, self._maps.too_large, step)
            if not interrupted:
                self._recording.tally.look_for_chosen(
                    self.moment, sorted(self.seen), self._maps.batch_size
                )
            if self._maps.dropped:
                self._let_go()
        held, self._held = self._held, 0
        self._recording.write(
            SeenStep(
                step=step,
                maps=self._maps,
                maps_due=self._maps_due,
                scalars=self._scalars,
                numbers=self._numbers,
                gamma_gradients=gamma_gradients,
            ),
            held,
        )

    def drop(self) -> None:
        """Let go of what was copied and not handed over."""
        for gradient in self._gradients.values():
            gradient.leave()
        if self._held and self._maps is not None:
            self._maps.let_go()
        self._let_go()

    def _let_go(self) -> None:
        """Give back what is held for copies that are gone."""
        held, self._held = self._held, 0
        self._recording.release(held)

    def _listen_to_gamma(self, call: TapCall, number: int) -> None:
        """Wait for γ's gradient, where one can come and none is waited for.

        The recorded forward has none where it runs without gradients: in self-conditioning the next
        one does, and in a reentrant checkpoint its recomputation.
        """
        watched = call.gamma if call.gamma_source is None else call.gamma_source
        if isinstance(watched, Tensor) and watched.requires_grad and number not in self._gradients:
            self._gradients[number] = GammaGradient(watched, call.gamma_slope)

    def _check_same_layer(self, call: TapCall, number: int) -> None:
        """Say so where another layer than before taps under a `number`: it isn't recorded."""
        first = self.seen.get(number)
        if isinstance(first, nn.Module) and call.module not in (None, first):
            self._recording.tally.warn_once(
                ("one number", number),
                "two layers have the number %d, and only the first is recorded: give each one of "
                "its own, tap(layer=self.layer_idx, module=self, ...)",
                number,
            )

    def _guard(self) -> AbstractContextManager[None]:
        return self._recording.guard(self.moment.step)

    def _hold(self, n_bytes: int) -> bool:
        held = self._recording.hold(n_bytes)
        self._held += n_bytes * held
        return held


def _on_this_rank(call: TapCall) -> TapCall:
    """`call` with tensors that this rank has by itself; raises `RecordingError` for parts."""
    own: dict[str, Any] = {
        name: on_this_rank(f"tap, layer {call.layer}: {name}", given)
        for name in TENSORS
        if isinstance(given := getattr(call, name), Tensor)
    }
    return replace(call, **own)


def _as_number(name: str, given: object) -> HostCopy | float | None:
    """What is kept of a number that a loop noted; None where it is none.

    Raises `RecordingError` for a tensor of which this rank has a part.
    """
    if isinstance(given, Tensor):
        if given.numel() != 1 or given.is_complex():
            return None
        own = on_this_rank(f"note: {name}", given.detach())
        return copy_to_host({name: Source(own.reshape(()), torch.float64)})[name]
    if isinstance(given, str | bytes):  # float("3") is one
        return None
    try:
        return float(cast("SupportsFloat", given))
    except (TypeError, ValueError, OverflowError):
        return None


def _described(given: object) -> str:
    if isinstance(given, Tensor):
        return f"a tensor of {given.dtype}, shape {tuple(given.shape)}"
    return reprlib.repr(given)


@contextmanager
def _outside_of_training(call: TapCall) -> Iterator[None]:
    """No gradients, and no autocast that would round what is computed here."""
    with torch.no_grad(), torch.autocast(call.device.type, enabled=False):
        yield
