"""The three figures as one writes them with pyplot on an afternoon, to time igaviz's against.

New figures each time, `tight_layout`, `bbox_inches="tight"`, a scatter of all pairs; the same
panels of the same data at the same size. No part of it is slowed down on purpose.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

RADIUS = 8.0
DPI = 150


def draw_set(map, distance: np.ndarray, folder: Path) -> None:
    """Draw and save the three figures of one map."""
    overview(map, distance, folder / "overview.png")
    profiles(map, distance, folder / "profiles.png")
    statistics(map, distance, folder / "statistics.png")


def _save(figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=DPI, bbox_inches="tight")
    plt.close(figure)


def overview(map, distance, path):
    figure, axes = plt.subplots(2, 3, figsize=(13, 8.8))
    figure.suptitle(f"Layer {map.id.layer}, head {map.id.head}, γ = {map.gamma:.3f}")
    tables = [
        ("Logits before", map.logits_before, "RdBu_r"),
        ("Geometric bias", map.geo_bias, "RdBu_r"),
        ("Logits after", map.logits_after, "RdBu_r"),
        ("Attention weights", map.attention, "Reds"),
        ("Cα distance (Å)", distance, "viridis"),
    ]
    for panel, (title, values, cmap) in zip(axes.flat, tables, strict=False):
        image = panel.imshow(values, cmap=cmap)
        panel.set(title=title, xlabel="key residue", ylabel="query residue")
        figure.colorbar(image, ax=panel)
    axes[1, 1].contour(distance, levels=[RADIUS], colors="black")
    pairs = ~np.eye(len(distance), dtype=bool)
    panel = axes[1, 2]
    points = panel.scatter(
        distance[pairs], map.attention[pairs], c=map.geo_bias[pairs], cmap="RdBu_r", s=4
    )
    figure.colorbar(points, ax=panel)
    panel.axvline(RADIUS, color="red", linestyle="--")
    for group in (pairs & (distance < RADIUS), pairs & (distance >= RADIUS)):
        panel.axhline(map.attention[group].mean(), linestyle=":")
    panel.set(title="Local interaction analysis", xlabel="distance (Å)", ylabel="attention")
    panel.set_yscale("log")
    panel.set_ylim(1e-4, 1)
    _save(figure, path)


def profiles(map, distance, path):
    n = len(distance)
    figure, axes = plt.subplots(2, 2, figsize=(12.9, 7.7))
    figure.suptitle(f"Layer {map.id.layer}, head {map.id.head}, γ = {map.gamma:.3f}")
    residues = np.arange(n)
    for panel, query in zip(axes.flat, (n // 4, n // 2, 3 * n // 4, n - 1), strict=True):
        panel.plot(residues, map.attention[query], color="green", label="attention")
        panel.fill_between(residues, map.attention[query], color="green", alpha=0.3)
        right = panel.twinx()
        right.plot(residues, map.geo_bias[query], "b--", label="geometric bias")
        right.set_ylabel("geometric bias")
        panel.axvline(query, color="red", linestyle="--")
        for near in np.flatnonzero(distance[query] < RADIUS):
            panel.axvspan(near - 0.5, near + 0.5, color="orange", alpha=0.2)
        panel.set(title=f"Query {query}", xlabel="key residue", ylabel="attention")
        panel.legend(loc="upper right")
    _save(figure, path)


def statistics(map, distance, path):
    figure, axes = plt.subplots(1, 3, figsize=(13.7, 5.9))
    figure.suptitle(f"Layer {map.id.layer}, head {map.id.head}, γ = {map.gamma:.3f}")
    pairs = ~np.eye(len(distance), dtype=bool)
    far = distance[pairs].astype(int)
    for panel, name, values in (
        (axes[0], "attention", map.attention[pairs]),
        (axes[1], "geometric bias", map.geo_bias[pairs]),
    ):
        bins = np.unique(far)
        mean = np.array([values[far == k].mean() for k in bins])
        spread = np.array([values[far == k].std() for k in bins])
        panel.plot(bins + 0.5, mean, marker="o")
        panel.fill_between(bins + 0.5, mean - spread, mean + spread, alpha=0.3)
        panel.axvline(RADIUS, color="red", linestyle="--", label="8 Å")
        panel.set(title=f"{name} by distance", xlabel="distance (Å)", ylabel=name)
        panel.legend()
    local = pairs & (distance < RADIUS)
    for group, label in ((local, "local"), (pairs & ~local, "global")):
        values = map.attention[group]
        axes[2].hist(values, bins=50, alpha=0.5, density=True, label=f"{label}, n = {len(values)}")
        axes[2].axvline(values.mean(), linestyle="--")
    axes[2].set(title="Local against global", xlabel="attention", ylabel="density")
    axes[2].set_yscale("log")
    axes[2].legend()
    _save(figure, path)
