"""Two ways timed in turns, and how far the statistics of such pairs can be trusted."""

from __future__ import annotations

import numpy as np


def in_turns(one, other, clock, rounds, before=lambda: None):
    """[rounds, 2, clocks]: what calls of two functions take; each is first every second time."""
    found = []
    for turn in range(rounds):
        functions, took = (one, other), {}
        for position in (1, 0) if turn % 2 else (0, 1):
            before()
            start = clock()
            functions[position]()
            took[position] = clock() - start
        found.append((took[0], took[1]))
    return np.array(found)


def ratio_of_medians(over, under):
    return np.median(over) / np.median(under)


def bootstrap(statistic, *samples):
    """`statistic` of paired samples, and the limits that hold it in 95 of 100 redrawings."""
    generator = np.random.default_rng(0)
    draws = generator.integers(len(samples[0]), size=(2000, len(samples[0])))
    values = [statistic(*(sample[draw] for sample in samples)) for draw in draws]
    return statistic(*samples), *np.quantile(values, [0.025, 0.975])


def said(value, low, high):
    return f"{value:.4g} ({low:.4g} to {high:.4g})"
