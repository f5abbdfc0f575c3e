"""What runs are called: after the paths that they were given as."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def called_after(paths: Sequence[Path], *, repeated: bool) -> Path:
    """The place after which a run is called whose parts were given as `paths`.

    The folder that holds them all, as that of folders of single ranks; the first of them where
    one repeats what another has, as a copy does.
    """
    real = [Path(os.path.realpath(path)) for path in paths]
    if repeated or len(real) == 1:
        return real[0]
    return Path(os.path.commonpath(real))


def unique_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, with as many parts before it as it takes to differ."""
    names = [path.name or str(path) for path in paths]
    depth = 1
    while len(set(names)) < len(names) and depth < max(len(path.parts) for path in paths):
        depth += 1
        names = [
            "/".join(path.parts[-depth:]).lstrip("/") if names.count(name) > 1 else name
            for name, path in zip(names, paths, strict=True)
        ]
    return [
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in n) for n in names
    ]
