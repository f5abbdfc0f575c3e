"""What torch.compile needs on a due step."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

import torch


def eager_stance() -> AbstractContextManager[object]:
    """A context in which compiled code runs eagerly, so that its taps are called.

    The compiled graphs are kept for the steps after it. Make it where it is entered: it acts from
    its construction on.
    """
    # Nothing is compiled without dynamo, and importing it takes a second.
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance
