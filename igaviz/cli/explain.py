"""`igaviz explain`."""

from __future__ import annotations

from typing import Annotated

import typer


def explain(
    check: Annotated[str, typer.Argument(help="A check, by id or name: D101, gamma-too-small.")],
) -> int:
    """Explain one check: what it measures, its formula and thresholds, and what to do."""
    from igaviz.checks.explain import explain as find_words
    from igaviz.cli import console
    from igaviz.report.explain import print_explanation

    print_explanation(find_words(check), console.out())
    return 0
