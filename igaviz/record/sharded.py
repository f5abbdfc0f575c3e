"""Models and tensors that are spread over ranks: FSDP's modules, and DTensors.

Nothing here communicates: one rank may record while the others don't.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from igaviz.errors import RecordingError

_WHOLE_HINT = (
    "tap and note take what its full_tensor() returns: that waits for the other ranks, so call it "
    "on every rank, and not under `if recording():`, which is true on the ranks that record alone"
)


def on_this_rank(name: str, tensor: Tensor) -> Tensor:
    """`tensor`, or the whole of a DTensor of which each rank has a copy.

    Raises `RecordingError` where this rank has a part of it only. `name` is what it is called.
    """
    whole = held_here(tensor)
    if whole is None:
        placements = ", ".join(map(str, getattr(tensor, "placements", ())))
        raise RecordingError(
            f"{name} is a DTensor spread over ranks ({placements}), of which this one has a part",
            hint=_WHOLE_HINT,
        )
    return whole


def held_here(tensor: Tensor) -> Tensor | None:
    """`tensor` as this rank has it by itself; None where it has but a part of it."""
    # No DTensor is there before its module is, and that is slow to import.
    module = sys.modules.get("torch.distributed.tensor")
    if module is None or not isinstance(tensor, module.DTensor):
        return tensor
    if not all(placement.is_replicate() for placement in tensor.placements):
        return None
    local: Tensor = tensor.to_local()
    return local


def class_name(module: nn.Module) -> str:
    """The name of its class as it was written: `fully_shard` makes one of its own of that."""
    kinds = type(module).__mro__
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None or not isinstance(module, fsdp.FSDPModule):
        return kinds[0].__name__
    return kinds[kinds.index(fsdp.FSDPModule) + 1].__name__


@contextmanager
def forwards_alone(models: Sequence[nn.Module]) -> Iterator[None]:
    """A context of forwards without backward, after which sharded models train on as before.

    FSDP leaves parameters gathered after a forward, for its backward. Where none comes, they stay
    so, and the next forward takes them as they were before the optimiser's step. `models` are those
    that may run; others are found when they do. Raises `RecordingError`, before anything of it has
    run, for a sharded model that could not be brought back.
    """
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None:
        yield
        return
    called: list[Any] = []

    def before(module: nn.Module, _: object) -> None:
        if isinstance(module, fsdp.FullyShardedDataParallel):
            raise _refused("FullyShardedDataParallel")
        if isinstance(module, fsdp.FSDPModule):
            if not called:
                _check_root(module)
            called.append(module)

    watching = register_module_forward_pre_hook(before)
    try:
        yield
    except BaseException:
        for module in dict.fromkeys(called):  # they may be amid their forward
            if not _is_part(module):
                module.reset_iter_state()
        raise
    finally:
        watching.remove()
        attached = (module for model in models for module in model.modules())
        for module in dict.fromkeys((*called, *attached)):
            if isinstance(module, fsdp.FSDPModule):
                module.reshard()


def _check_root(module: Any) -> None:  # noqa: ANN401 (an FSDPModule of any torch)
    """Raise where a failure in this first module of a forward could not be mended."""
    if not hasattr(module, "reset_iter_state"):
        raise _refused(f"fully_shard of torch {torch.__version__}")
    if _is_part(module):
        name = class_name(module)
        raise RecordingError(
            f"it runs {name}, a part of a sharded model, by itself",
            hint="attach the model to which fully_shard was applied last, or pass a function that "
            "calls it",
        )


def _is_part(module: Any) -> bool:  # noqa: ANN401
    """Whether an FSDPModule is known to be in another one, whose state it shares."""
    # Private, so it may go: the first to ask is `_check_root`, before anything has run.
    return module._get_fsdp_state()._is_root is False


def _refused(what: str) -> RecordingError:
    return RecordingError(
        f"the model is sharded by {what}, and after a forward without backward it would train on "
        "with parameters from before the optimiser's step",
        hint="a model sharded by torch.distributed.fsdp.fully_shard, of torch 2.13, can be probed; "
        "without a probe any sharded model is recorded",
    )
