"""How well strong attention tells which residues touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from igaviz.dump.data import Booleans, Floats
from igaviz.metrics.distance import distances
from igaviz.metrics.groups import Doubles, Indices
from igaviz.metrics.table import CONTACT_RADIUS
from igaviz.metrics.terms import Weights
from igaviz.metrics.values import Missing, Results

if TYPE_CHECKING:
    from igaviz.metrics.pairs import Pairs
