"""Which colours a map gets, and between which limits.

One rule for every map: nothing above zero → `Blues_r`, nothing below → `Reds`, both signs →
`RdBu_r` centred on zero, so that blue is negative and red positive everywhere. Limits are robust:
a stray 1e8 doesn't flatten a map, and what they cut off is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Colormap, LogNorm, Normalize, SymLogNorm

from igaviz.dump.data import Floats
from igaviz.figures import theme
from igaviz.figures.ticks import scaled_ticks, signed_ticks, value_ticks

ATTENTION_FLOOR = 1e-4
DIFFERENCE_FLOOR = 1e-3
LOG_FROM = 200.0
"""Numbers of a metric that are above 0 and span more than this factor are drawn by decades."""

RELATIVE_FLOOR = -10.0
"""Nats below the row's maximum: a key weighs 5e-5 of the strongest there."""

_TAIL = 0.1  # per cent of values on each side that may set no limit
_SLACK = 0.25  # a tail no longer than this share of the body is no outlier …
_FEW = 10.0  # … or than this by the number of values: two or three of them have none


@dataclass(frozen=True)
class Shades:
    """How values become colours: the colour map's name, the limits, and what they cut off.

    The name is that of the light style; every style has its own colours for the same meaning.

    `below` and `above` of `total` finite values lie outside the limits. With `within` above 0 the
    scale is linear from -`within` to it and logarithmic beyond.
    """

    cmap: str
    low: float
    high: float
    log: bool = False
    below: int = 0
    above: int = 0
    total: int = 0
    within: float = 0.0

    def ticks(self) -> tuple[list[float], list[str], str]:
        """Places and labels of ticks, and the power of ten that labels are in units of."""
        if self.within:
            return *signed_ticks(self.high, self.within), ""
        if self.log:
            return *value_ticks(self.low, self.high, log=True), ""
        return scaled_ticks(self.low, self.high)

    def norm(self) -> Normalize:
        """The limits and the scale as matplotlib takes them."""
        if self.within:
            return SymLogNorm(self.within, linscale=0.5, vmin=self.low, vmax=self.high, base=10)
        return LogNorm(self.low, self.high) if self.log else Normalize(self.low, self.high)

    def colormap(self) -> Colormap:
        """The colour map, with a colour of its own for what isn't finite."""
        colormap: Colormap = theme.MAPS[self.cmap]
        return colormap

    def drawable(self, values: Floats) -> npt.NDArray[np.float32]:
        """`values` within the limits, as float32; what isn't finite is NaN."""
        clipped = np.clip(values, self.low, self.high).astype(np.float32)
        clipped[~np.isfinite(values)] = np.nan
        return clipped


def signed(values: Floats) -> Shades:
    """Colours of `values` by their signs, between robust limits."""
    finite = _finite(values)
    low, high = robust_limits(finite)
    if not finite.size or finite.max() <= 0:
        cmap = "Blues_r"
        low, high = (low, high) if low < high else (min(low, -1.0), 0.0)
    elif finite.min() >= 0:
        cmap = "Reds"
        low, high = (low, high) if low < high else (0.0, high or 1.0)
    else:
        cmap = "RdBu_r"
        high = max(-low, high) or 1.0
        low = -high
    return _counted(finite, Shades(cmap, low, high))


def by_decades(values: Floats) -> Shades:
    """Colours of a metric's `values`: `signed`, or logarithmic where positive ones span decades."""
    finite = _finite(values)
    low, high = robust_limits(finite)
    if finite.size and finite.min() > 0 and high / low > LOG_FROM:
        return _counted(finite, Shades("Reds", low, high, log=True))
    return signed(finite)


def relative(values: Floats) -> Shades:
    """Colours of logits minus their row's maximum: −10…0 nats, the tail cut off."""
    return _counted(_finite(values), Shades("Blues_r", RELATIVE_FLOOR, 0.0))


def below_row_maximum(values: Floats) -> npt.NDArray[np.float64]:
    """Each row of logits [N, N] minus its largest finite value; NaN where it isn't finite."""
    finite = np.isfinite(values)
    known = np.where(finite, values, -np.inf).astype(np.float64)
    top = known.max(axis=1, keepdims=True, initial=-np.inf)
    below = np.full(known.shape, np.nan)
    np.subtract(known, top, out=below, where=finite)
    return below


def weights(values: Floats, *, log: bool) -> Shades:
    """Colours of attention weights between their `attention_limits`."""
    low, high = attention_limits(values, log=log)
    return _counted(_finite(values), Shades("Reds", low, high, log=log))


def differences(values: Floats, *, log: bool) -> Shades:
    """Colours of differences of weights: both signs, to a robust largest of either.

    On a logarithmic scale they are linear within ±1e-3.
    """
    finite = _finite(values)
    low, high = robust_limits(finite)
    high = max(-low, high, 10 * DIFFERENCE_FLOOR)
    within = DIFFERENCE_FLOOR if log else 0.0
    return _counted(finite, Shades("RdBu_r", -high, high, within=within))


def lengths(values: Floats) -> Shades:
    """Colours of distances: from 0 to a robust largest."""
    finite = _finite(values)
    _, high = robust_limits(finite)
    return _counted(finite, Shades("Reds", 0.0, high or 1.0))


def counted(values: Floats, shades: Shades) -> Shades:
    """`shades` with what they cut off of `values`: for limits that several maps share."""
    return _counted(_finite(values), shades)


def attention_limits(attention: Floats, *, log: bool) -> tuple[float, float]:
    """Limits for the weights [N, N]: 1e-4 (0 on a linear scale) to the 99.9th percentile.

    The diagonal is left out where it alone would set the upper one. That is never less than ten
    times the uniform level 1/N: one-hot attention is zero at its 99.9th percentile.
    """
    n = len(attention)
    high = _high_percentile(attention)
    without_diagonal = _high_percentile(attention[~np.eye(n, dtype=bool)])
    if without_diagonal and high > 2 * without_diagonal:
        high = without_diagonal
    return ATTENTION_FLOOR if log else 0.0, min(max(high, 10.0 / max(n, 1)), 1.0)


def robust_limits(values: Floats, slack: float = _SLACK) -> tuple[float, float]:
    """The smallest and largest of the finite `values` but for outliers; (0, 0) without any.

    Outliers are those farther from the 0.1st or 99.9th percentile than `slack` of what lies
    between these; each is rounded inwards, so that one outlier never counts. Fewer than ten values
    have none.
    """
    finite = _finite(values)
    if not finite.size:
        return 0.0, 0.0
    if finite.size < _FEW:
        return float(finite.min()), float(finite.max())
    low = float(np.percentile(finite, _TAIL, method="higher"))
    high = max(low, float(np.percentile(finite, 100 - _TAIL, method="lower")))
    reach = max(slack, _FEW / finite.size) * (high - low)
    with np.errstate(over="ignore"):  # a limit beyond float32 leaves nothing out
        kept = finite[(finite >= low - reach) & (finite <= high + reach)]
    return float(kept.min()), float(kept.max())


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _high_percentile(values: Floats) -> float:
    finite = _finite(values)
    return float(np.percentile(finite, 100 - _TAIL)) if finite.size else 0.0


def _counted(finite: Floats, shades: Shades) -> Shades:
    return replace(
        shades,
        below=int(np.count_nonzero(finite < shades.low)),
        above=int(np.count_nonzero(finite > shades.high)),
        total=finite.size,
    )
