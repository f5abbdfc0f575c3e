"""The dump: shards of HDF5 on disk, read as runs, one map at a time (docs/format.md)."""

from igaviz.dump.data import AttentionMap, Damage, LayerEntry, Structure
from igaviz.dump.maps import read_maps
from igaviz.dump.run import Dump, Run, Superseded, describe, open_dump
from igaviz.dump.scalars import ScalarLine

__all__ = [
    "AttentionMap",
    "Damage",
    "Dump",
    "LayerEntry",
    "Run",
    "ScalarLine",
    "Structure",
    "Superseded",
    "describe",
    "open_dump",
    "read_maps",
]
