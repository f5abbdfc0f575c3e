"""`igaviz explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from igaviz.cli import options


def explain(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A check, by id or name (D101, gamma-too-small), or a metric (geometry_effect); "
            "if left out, all are listed.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
) -> int:
    """Explain a check or a metric: what it measures, its formula, and what to do; or list them."""
    from igaviz.checks.explain import explain as find_words
    from igaviz.cli import console
    from igaviz.report import explain as report

    if json:
        found = report.every_explanation() if name is None else [find_words(name)]
        console.print_json(report.explanations_json(found))
    elif name is None:
        report.print_list(console.out())
    else:
        report.print_explanation(find_words(name), console.out())
    return 0
