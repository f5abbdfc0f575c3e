"""What lies in two of the given places: read once, and said once per file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from igaviz.dump.data import Damage, LayerEntry
from igaviz.dump.scalar_index import ScalarIndex
from igaviz.format import LayerId

_UNREAD = "numbers not compared"
"""Where a record stands says that it is there twice, whatever is in it."""


def repeat(groups: Iterable[Iterable[LayerEntry]]) -> bool:
    """Whether one of the groups of entries has a map that one before it has."""
    seen: set[tuple[LayerId, int]] = set()
    for group in groups:
        own = {(entry.id, entry.attempt) for entry in group}
        if not own.isdisjoint(seen):
            return True
        seen |= own
    return False


def first_records(entries: Sequence[LayerEntry], damaged: list[Damage]) -> tuple[LayerEntry, ...]:
    """Each identity once, the first; each file with other records of one is named."""
    seen: dict[LayerId, LayerEntry] = {}
    first: dict[str, dict[str, None]] = {}
    repeats: Counter[str] = Counter()
    for entry in entries:
        other = seen.setdefault(entry.id, entry)
        if other is not entry:
            first.setdefault(entry.path, {})[other.path] = None
            repeats[entry.path] += 1
    if repeats:
        sizes = Counter(entry.path for entry in entries)
        for path, others in first.items():
            some = f"{repeats[path]:,} of its {sizes[path]:,}"
            what = "all its" if repeats[path] == sizes[path] else some
            name, *more = others
            where = f"{name} and {len(more)} more" if more else name
            why = f"same steps, items and layers; {_UNREAD}"
            damaged.append(
                Damage(path, "", f"{what} records of layers are also in {where} ({why})")
            )
    return tuple(seen.values())


def first_lines(indexes: Sequence[ScalarIndex], damaged: list[Damage]) -> tuple[ScalarIndex, ...]:
    """The scalars files without copies of one before them, which are named."""
    kept: list[ScalarIndex] = []
    for index in indexes:
        other = next((known for known in kept if _alike(known, index)), None)
        if other is None:
            kept.append(index)
        else:
            reason = f"all its lines are also in {other.path} (same steps; {_UNREAD})"
            damaged.append(Damage(str(index.path), "", reason))
    return tuple(kept)


def _alike(one: ScalarIndex, other: ScalarIndex) -> bool:
    """Whether the files' lines are of the same steps and stand at the same places."""
    if (one.rank, one.n_bytes) != (other.rank, other.n_bytes) or not one.blocks:
        return False
    return one.blocks.keys() == other.blocks.keys() and all(
        np.array_equal(blocks, other.blocks[key]) for key, blocks in one.blocks.items()
    )
