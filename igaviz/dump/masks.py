"""Masks that stand inside the logits as large negative numbers: read as the −∞ that they mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from igaviz.dump.data import AttentionMap, Booleans, Floats, Mask

WEAKEST = -5e3
"""Half of −1e4, the weakest of the additive masks that are common."""

LEVELS = 3
"""So many masks may add up: one of keys and one of queries give two, −1e9 and −2e9."""

SAME_LEVEL = 1.5
"""Logits under one mask differ by less than this factor; those under two masks by more."""

ALIKE = 2.0**-6
"""Logits under one mask differ by what content differs by; rounded to bfloat16, by 2⁻⁷ of it."""

APART = 5.0
"""A mask lies so many ranges of the other logits below them, or more."""

_FEW = 8


def with_masks_read(map: AttentionMap) -> AttentionMap:
    """`map` with −∞ in its logits where a finite number masks a pair; `map` itself without one.

    What lies far below all other logits of the map is masked, where its attention is exactly 0,
    or all keys of its query are. The logits of a model that diverged are as large, but seldom
    apart from others and alike. A key that is masked for every query, by −∞ too, is padding: all
    keys of its query are -∞ then.
    """
    S, A = map.logits_before, map.attention
    if S is None or _lowest(S) > WEAKEST:
        return map
    for highest in reversed(_highest_masked(S)):
        masked: Booleans = np.less_equal(S, highest)
        # whole queries alone spoil nothing: softmax doesn't see what all keys of a query share
        of_others = masked & ~masked.all(axis=1, keepdims=True)
        if of_others.any() and (A is None or not (A[of_others] > 0).any()):
            break
    else:
        return map
    hidden: Booleans = np.all(masked, axis=0)
    if highest == -np.inf and not hidden.any():
        return map
    mask = Mask(value=highest, pairs=int(masked.sum()), keys=int(hidden.sum()))
    masked |= hidden[:, None]
    after = map.logits_after_recorded
    return replace(
        map,
        logits_before=_without(S, masked),
        logits_after_recorded=None if after is None else _without(after, masked),
        mask=mask,
    )


def _lowest(logits: Floats) -> float:
    """The smallest of the logits that are numbers, or 0."""
    lowest = float(logits.min(initial=0))
    return lowest if lowest == lowest else float(np.fmin.reduce(logits, axis=None, initial=0))


def _without(logits: Floats, masked: Booleans) -> Floats:
    return np.where(masked, np.float32(-np.inf), logits)


def _highest_masked(logits: Floats) -> tuple[float, ...]:
    """The largest logit under each mask, by the logits alone, the lowest first; −∞ before all.

    Above one mask may stand another of a very different size. A few rows tell already that a model
    diverged, where they hold what is lowest: what is apart in all is apart in some.
    """
    found: tuple[float, ...] = (-np.inf,)
    few = _Levels.of(logits[:: max(1, len(logits) // _FEW)])
    if few.found and few.rest.size and not few.are_apart:
        lowest = float(logits.min(initial=0, where=np.isfinite(logits)))
        if few.found[0][0] <= lowest / SAME_LEVEL:
            return found
    levels = _Levels.of(logits)
    while levels.are_apart and levels.are_alike:
        found = (*found, levels.highest)
        levels = _Levels.of(levels.rest)
    return found


@dataclass(frozen=True)
class _Levels:
    """The (lowest, highest) logits of each level, the lowest level first, and the `rest`."""

    found: tuple[tuple[float, float], ...]
    rest: Floats

    @classmethod
    def of(cls, logits: Floats) -> _Levels:
        """The finite `logits`: level by level what is about as low as the lowest of them.

        Until the rest is apart; what is large there may be content.
        """
        levels = cls((), logits[np.isfinite(logits)])
        while levels.rest.size and len(levels.found) < LEVELS and not levels.are_apart:
            lowest = float(levels.rest.min())
            if lowest > WEAKEST:
                break
            under = levels.rest <= lowest / SAME_LEVEL
            level = lowest, float(levels.rest[under].max())
            levels = cls((*levels.found, level), levels.rest[~under])
        return levels

    @property
    def highest(self) -> float:
        """The largest logit on a level; -∞ where there is none."""
        return self.found[-1][1] if self.found else -np.inf

    @cached_property
    def content(self) -> float:
        """The range of the rest, which isn't empty."""
        return float(self.rest.max()) - float(self.rest.min())

    @property
    def are_apart(self) -> bool:
        """Whether there are levels, and the rest lies far above them."""
        if not self.found or not self.rest.size:
            return False
        return self.highest < float(self.rest.min()) - APART * self.content

    @property
    def are_alike(self) -> bool:
        """Whether the logits of each level differ by no more than a mask leaves them to."""
        return all(high - low <= max(2 * self.content, ALIKE * -low) for low, high in self.found)
