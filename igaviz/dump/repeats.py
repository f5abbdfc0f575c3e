"""What lies in two of the given places: read once, and said once per file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from igaviz.dump.data import Damage, LayerEntry
from igaviz.dump.scalar_index import ScalarIndex
from igaviz.format import LayerId


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
            what = (
                "the same maps as in"
                if repeats[path] == sizes[path]
                else f"{repeats[path]:,} of its {sizes[path]:,} records of layers are also in"
            )
            name, *more = others
            and_more = f" and {len(more)} more" if more else ""
            damaged.append(Damage(path, "", f"{what} {name}{and_more}"))
    return tuple(seen.values())


def first_lines(indexes: Sequence[ScalarIndex], damaged: list[Damage]) -> tuple[ScalarIndex, ...]:
    """The scalars files without copies of one before them, which are named."""
    kept: list[ScalarIndex] = []
    for index in indexes:
        other = next((known for known in kept if _alike(known, index)), None)
        if other is None:
            kept.append(index)
        else:
            damaged.append(Damage(str(index.path), "", f"the same lines as in {other.path}"))
    return tuple(kept)


def _alike(one: ScalarIndex, other: ScalarIndex) -> bool:
    """Whether the files' lines are of the same steps and stand at the same places."""
    if (one.rank, one.n_bytes) != (other.rank, other.n_bytes) or not one.blocks:
        return False
    return one.blocks.keys() == other.blocks.keys() and all(
        np.array_equal(blocks, other.blocks[key]) for key, blocks in one.blocks.items()
    )
