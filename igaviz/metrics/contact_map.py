"""What attention predicts of contacts, drawn against the true ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import AttentionMap, Booleans, Floats
from igaviz.metrics.contacts import Contacts, Ranking, corrected
from igaviz.metrics.pairs import Pairs
from igaviz.softmax import softmax


@dataclass(frozen=True, eq=False)
class ContactMap:
    """Attention with average-product correction, and the contacts, of one map.

    `scores` [N, N] is None where attention is missing, all 0 or not finite, and `why` then says
    which. `touching` and `candidates` [N, N] are symmetric; contacts that are near in sequence
    are no candidates and not in `touching`. `attention` ranks the candidates by attention,
    `content` by what the logits before geometry alone would give.
    """

    contacts: Contacts
    scores: npt.NDArray[np.float64] | None
    why: str
    touching: Booleans
    candidates: Booleans
    attention: Ranking | None
    content: Ranking | None

    @classmethod
    def of(cls, map: AttentionMap, pairs: Pairs) -> ContactMap:
        """The contact map of `map`, contacts being those of the clean structure if there is one."""
        contacts = pairs.contacts
        n = pairs.n_residues
        A, before = map.attention, map.logits_before
        scores, why = _scores(A)
        content = None if before is None else softmax(before)
        return cls(
            contacts=contacts,
            scores=scores,
            why=why,
            touching=_symmetric(contacts, contacts.touching, n),
            candidates=_symmetric(contacts, np.ones(len(contacts.first), dtype=bool), n),
            attention=None if A is None else Ranking.of(contacts, A),
            content=None if content is None else Ranking.of(contacts, content),
        )

    @property
    def precision(self) -> float | None:
        """The metric `contact_precision`: None without a contact, a candidate, or a score."""
        if self.attention is None or not self.contacts.touching.any():
            return None
        return float(self.attention.precision[-1])

    @property
    def by_chance(self) -> float | None:
        """The share of candidates that touch; None where there are none."""
        return float(self.contacts.touching.mean()) if len(self.contacts.touching) else None


def _scores(attention: Floats | None) -> tuple[npt.NDArray[np.float64] | None, str]:
    if attention is None:
        return None, "Attention not recorded."
    if not np.isfinite(attention).all():
        return None, "Rows that are not finite, or padding, are left out: no correction."
    scores = corrected(attention)
    return scores, "" if scores is not None else "No attention between residues."


def _symmetric(contacts: Contacts, chosen: Booleans, n: int) -> Booleans:
    table = np.zeros((n, n), dtype=bool)
    table[contacts.first[chosen], contacts.second[chosen]] = True
    return table | table.T
