"""docs/checks.md and docs/metrics.md are what the tables say."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from igaviz.checks import CHECKS
from igaviz.checks.background import BACKGROUND
from igaviz.checks.silence import SILENCES
from igaviz.checks.telling import TELLING
from igaviz.dump import open_dump, read_maps
from igaviz.metrics import METRICS, measure
from igaviz.metrics.formulas import FORMULAS
from igaviz.metrics.over_steps import OF_PAGE, OF_TRAJECTORY, OF_TRENDS
from igaviz.metrics.table import LARGEST, SUMMED
from igaviz.report.explain import METRICS_HEAD, checks_markdown, metrics_markdown
from igaviz.report.html.content import OVERVIEW
from igaviz.report.metric_columns import OF_CHANGES, OF_ROWS, TITLES

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_the_table_holds_together(check):
    ids = {other.id for other in CHECKS}
    assert check.id in BACKGROUND
    assert set(check.silences) <= set(SILENCES)
    assert {*check.unless, *check.consequence_of} <= ids
    assert (check.rule is None) == (check.say is None) == (check.scope in ("trend", "run"))
    assert check.scope != "layer" or "heads" in check.thresholds
    assert check.formula.format(**check.thresholds)


def test_the_order_of_telling_has_every_check_that_finds_something_and_causes_first():
    assert sorted(TELLING) == [check.id for check in CHECKS if check.scope != "run"]
    assert all(check_id in PAGE.read_text("utf-8").split("## D001")[0] for check_id in TELLING)


def test_what_is_shown_first_are_metrics_that_there_are():
    shown = (OF_TRAJECTORY, OF_TRENDS, OF_PAGE, TITLES, (name for name, _ in OVERVIEW))
    assert {metric.name for metric in METRICS}.issuperset(chain(*shown))
    assert sorted(OF_ROWS) == sorted(TITLES)
    assert set(OF_CHANGES) <= set(TITLES)


def test_a_title_starts_with_a_capital_and_a_sign_stays_itself():
    page = checks_markdown("", {})
    assert "**Bias is flat.**" in page
    assert "**γ does not move.**" in page
    assert "**σ has collapsed.**" in page


def test_ids_are_in_order_and_names_unique():
    assert [check.id for check in CHECKS] == sorted({check.id for check in CHECKS})
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_every_metric_is_on_its_page_with_unit_meaning_and_formula():
    """If this fails, run `python -m igaviz.calibration page`."""
    page = (PAGE.parent / "metrics.md").read_text("utf-8")
    assert page == metrics_markdown()
    assert list(FORMULAS) == [metric.name for metric in METRICS]
    sections = {part.split("\n")[0]: part for part in page.split("\n## ")[1:]}
    assert list(sections) == [metric.name for metric in METRICS]
    for metric in METRICS:
        said = sections[metric.name].lower()
        assert metric.means.lower() in said
        assert f"*unit*: {(metric.unit or 'none').lower()}\n" in said
        assert FORMULAS[metric.name].text.lower() in said
    assert all(f"`{name}`" in METRICS_HEAD for name in LARGEST | SUMMED)


def test_the_terms_that_a_metric_needs_are_those_without_which_it_has_no_value(sample_data):
    """Each term left out of a real map empties what names it as needed, and nothing else."""
    entry = open_dump(sample_data / "healthy").entries[-1]
    found = next(read_maps(entry, entry.heads[:1]))
    whole = measure(found)
    for term in ("gamma", "logits_before", "geo_bias", "attention"):
        values = measure(replace(found, **{term: None})).values
        lost = {name for name, value in whole.values.items() if value is not None} - {
            name for name, value in values.items() if value is not None
        }
        assert lost == {name for name, formula in FORMULAS.items() if term in formula.terms}
