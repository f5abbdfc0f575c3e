"""How well strong attention tells which residues touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Booleans, Floats
from igaviz.metrics.distance import distances
from igaviz.metrics.table import CONTACT_RADIUS
from igaviz.metrics.values import Missing, Results, quotient

if TYPE_CHECKING:
    from igaviz.metrics.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Contacts:
    """The candidates: long-range pairs i < j of known distance, by i, then j.

    `pairs` [C] are their flat indices i·N + j, `mirrored` those of j, i, and `second` their j;
    `per_first` [N] counts them by i. `touching` [C] says which are closer than 8 Å in the clean
    structure where there is one.
    """

    pairs: npt.NDArray[np.intp]
    mirrored: npt.NDArray[np.intp]
    second: npt.NDArray[np.int32]
    per_first: npt.NDArray[np.intp]
    touching: Booleans

    @classmethod
    def of(cls, pairs: Pairs) -> Contacts:
        """The candidates of `pairs`' structure."""
        reference = pairs.structure.ca_reference
        distance = pairs.distance if reference is None else distances(reference)
        candidates = np.triu(pairs.longrange, 1) & np.isfinite(distance)
        chosen = np.flatnonzero(candidates)
        first, second = np.divmod(chosen, len(distance))
        return cls(
            pairs=chosen,
            mirrored=second * len(distance) + first,
            second=second.astype(np.int32),
            per_first=candidates.sum(axis=1),
            touching=distance.take(chosen) < CONTACT_RADIUS,
        )

    def measure(self, attention: Floats) -> Results:
        """`contact_precision` and `contact_lift` of the weights [N, N].

        Average-product correction: Dunn, Wahl, Gloor (2008), Bioinformatics 24, 333.
        """
        if not len(self.pairs):
            return dict.fromkeys(("contact_precision", "contact_lift"), Missing("no candidates"))
        if not self.touching.any():
            return dict.fromkeys(("contact_precision", "contact_lift"), Missing("no contacts"))
        scores = self.scores(attention)
        if scores is None:
            nothing = Missing("no attention between residues")
            return dict.fromkeys(("contact_precision", "contact_lift"), nothing)
        chosen = strongest(scores, min(len(attention), len(scores)))
        precision = float(self.touching[chosen].mean())
        return {
            "contact_precision": precision,
            "contact_lift": quotient(precision, float(self.touching.mean()), "no contacts"),
        }

    def scores(self, attention: Floats) -> npt.NDArray[np.float64] | None:
        """[C]: A + Aᵀ of [N, N] weights, less the product of its averages, of each candidate.

        The averages are those of the whole of A + Aᵀ without its diagonal; None where that is 0.
        """
        others, sums = _others(attention)
        total = sums.sum()
        if total == 0:
            return None
        scores = others.take(self.pairs).astype(np.float64)
        scores += others.take(self.mirrored)
        products = np.repeat(sums, self.per_first)
        products *= sums.take(self.second)
        products /= total
        scores -= products
        return scores

    @property
    def first(self) -> npt.NDArray[np.intp]:
        """[C]: the residue i of each candidate."""
        return np.repeat(np.arange(len(self.per_first)), self.per_first)


@dataclass(frozen=True, eq=False)
class Ranking:
    """What attention predicts: its strongest candidates in order.

    `chosen` [K] are their places among the candidates of `Contacts`, the min(N, C) strongest
    first; `hit` [K] says which touch, `precision` [K] how large a share of the first k does.
    """

    chosen: npt.NDArray[np.intp]
    hit: Booleans
    precision: npt.NDArray[np.float64]

    @classmethod
    def of(cls, contacts: Contacts, attention: Floats) -> Ranking | None:
        """The candidates by the corrected `attention` [N, N]; None where it is all 0, or broken.

        Of equal scores the first comes first, so that the last of `precision` is the metric
        `contact_precision`.
        """
        if not np.isfinite(attention).all():
            return None
        scores = contacts.scores(attention)
        if scores is None:
            return None
        chosen = np.argsort(-scores, kind="stable")[: min(len(attention), len(scores))]
        hit = contacts.touching[chosen]
        return cls(chosen, hit, np.cumsum(hit) / np.arange(1, len(hit) + 1))


def corrected(attention: Floats) -> npt.NDArray[np.float64] | None:
    """A + Aᵀ without its diagonal, less the product of its averages; None where it is all 0."""
    others, sums = _others(attention)
    total = sums.sum()
    if total == 0:
        return None
    both = others.astype(np.float64)
    both += others.T
    both -= np.outer(sums, sums) / total
    return both


def _others(attention: Floats) -> tuple[Floats, npt.NDArray[np.float64]]:
    """[N, N]: A without its diagonal; and [N]: what each row of A + Aᵀ then adds up to."""
    others = attention.copy()
    np.fill_diagonal(others, 0.0)
    return others, others.sum(axis=1, dtype=np.float64) + others.sum(axis=0, dtype=np.float64)


def strongest(scores: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """The places of the `count` largest scores; of equal ones the first."""
    if count >= len(scores):
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > least)
    ties = np.flatnonzero(scores == least)
    return np.concatenate([above, ties[: count - len(above)]])
