"""The dump: shards of HDF5 on disk, read as runs, one map at a time (docs/format.md)."""

from igaviz.dump.data import AttentionMap, Damage, LayerEntry, Structure
from igaviz.dump.maps import MapReader, heads_at_once, read_maps
from igaviz.dump.restarts import Superseded
from igaviz.dump.run import Dump, Run, describe, named_apart, open_dump
from igaviz.dump.run_file import Ended
from igaviz.dump.scalars import ScalarLine
from igaviz.dump.track import ScalarTrack

__all__ = [
    "AttentionMap",
    "Damage",
    "Dump",
    "Ended",
    "LayerEntry",
    "MapReader",
    "Run",
    "ScalarLine",
    "ScalarTrack",
    "Structure",
    "Superseded",
    "describe",
    "heads_at_once",
    "named_apart",
    "open_dump",
    "read_maps",
]
