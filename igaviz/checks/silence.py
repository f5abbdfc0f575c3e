"""When a check must hold its tongue: what makes its numbers mean nothing, said once per reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from igaviz.checks.rules import CA_STEP
from igaviz.metrics.data import Measurement

MIN_RESIDUES = 20
MIN_STEP = 200
MIN_FLOW_TIME = 0.3
CA_STEP_TOLERANCE = 1.5


@dataclass(frozen=True)
class Silence:
    """A reason to be silent about a map, and when it applies.

    `applies` takes the measurement and whether its unit of length is suspect (D004).
    """

    reason: str
    applies: Callable[[Measurement, bool], bool]


def _noised(m: Measurement) -> bool:
    return m.flow_time is not None and m.flow_time < MIN_FLOW_TIME


def _no_chain(m: Measurement, unit_suspect: bool) -> bool:
    return (
        not unit_suspect and m.ca_step is not None and abs(m.ca_step - CA_STEP) > CA_STEP_TOLERANCE
    )


SILENCES = {
    "derived": Silence(
        "attention was not recorded but derived", lambda m, _: not m.attention_recorded
    ),
    "small": Silence(
        f"too small to judge: fewer than {MIN_RESIDUES} residues",
        lambda m, _: m.n_residues < MIN_RESIDUES,
    ),
    "noised": Silence(
        f"coordinates are noise: flow time below {MIN_FLOW_TIME}, and no clean structure",
        lambda m, _: _noised(m) and m.reference_step is None,
    ),
    "flow": Silence(
        f"coordinates are noise: flow time below {MIN_FLOW_TIME}", lambda m, _: _noised(m)
    ),
    "noise": Silence(
        f"coordinates are noise: consecutive Cα are not {CA_STEP} ± {CA_STEP_TOLERANCE} Å apart",
        _no_chain,
    ),
    "early": Silence(
        f"too early to tell: below {MIN_STEP} optimiser steps", lambda m, _: m.id.step < MIN_STEP
    ),
}
"""By the key that the table of checks names them with; the first that applies is the one said."""


def silenced(m: Measurement, keys: tuple[str, ...], *, unit_suspect: bool) -> str | None:
    """Why a check with these silences says nothing about this map, or None where it may speak."""
    for key in keys:
        if SILENCES[key].applies(m, unit_suspect):
            return SILENCES[key].reason
    return None
