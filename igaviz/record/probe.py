"""A probe: the same small input at every due step, run beside training without a trace in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from igaviz.errors import RecordingError
from igaviz.record.sharded import class_name, forwards_alone

SEED = 20
"""Of all random numbers that a probe's forward draws."""

PROBE_HINT = (
    "a mapping is given to the model by keywords, a tuple or list by position: where it takes one "
    "argument that is a mapping or a list, write probe((batch,)), or pass a function, "
    "probe(lambda: model(batch))"
)
"""What to do where a probe's forward fails."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What is run, what `recorder.step` is told of its items, and the call in words."""

    run: Callable[[], object]
    about: Mapping[str, Any]
    call: str


def make_probe(
    batch: Any,  # noqa: ANN401 (whatever the model takes)
    models: Sequence[nn.Module],
    about: Mapping[str, Any],
) -> Probe:
    """The probe that runs `batch`: called itself where it can be, else given to the model.

    A mapping becomes keyword arguments, a tuple or list positional ones. Raises `RecordingError`
    where there is no attached model, or several, to give it to.
    """
    if callable(batch) and not isinstance(batch, torch.Tensor):
        return Probe(batch, about, f"{getattr(batch, '__qualname__', type(batch).__name__)}()")
    if len(models) != 1:
        raise RecordingError(
            f"a probe's batch is given to the attached model, and {len(models)} are attached",
            hint="attach the model first, or pass a function that runs the forward",
        )
    (model,) = models
    # What a compiler put around it would run eagerly, and the forward of DDP would exchange buffers
    # between the ranks.
    model = getattr(model, "_orig_mod", model)
    model = model.module if isinstance(model, DistributedDataParallel) else model
    name = class_name(model)
    if isinstance(batch, Mapping):
        keywords = ", ".join(f"{keyword}=…" for keyword in batch)
        return Probe(lambda: model(**batch), about, f"{name}({keywords})")
    arguments = batch if isinstance(batch, tuple | list) else (batch,)
    kinds = ", ".join(type(argument).__name__ for argument in arguments)
    return Probe(lambda: model(*arguments), about, f"{name}({kinds})")


@contextmanager
def beside_training(models: Sequence[nn.Module]) -> Iterator[None]:
    """A context of eval mode, no gradients and fixed random numbers; all is restored after it."""
    modules = [module for model in models for module in model.modules()]
    were_training = [module for module in modules if module.training]
    python, numpy_state = random.getstate(), np.random.get_state()
    devices = _devices()
    with (
        torch.random.fork_rng(devices=devices),
        torch.no_grad(),
        forwards_alone(models),
    ):
        try:
            for module in were_training:
                module.training = False
            torch.default_generator.manual_seed(SEED)
            for device in devices:
                torch.cuda.default_generators[device].manual_seed(SEED)
            random.seed(SEED)
            np.random.seed(SEED)
            yield
        finally:
            for module in were_training:
                module.training = True
            random.setstate(python)
            np.random.set_state(numpy_state)


def _devices() -> list[int]:
    """The GPUs whose random state a forward may move."""
    if not torch.cuda.is_available() or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return []
    return [*range(torch.cuda.device_count())]
