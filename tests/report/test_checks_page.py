"""docs/checks.md is what the table says."""

from pathlib import Path

import pytest

from igaviz.checks import CHECKS
from igaviz.checks.background import BACKGROUND
from igaviz.checks.silence import SILENCES
from igaviz.checks.telling import TELLING

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


def test_ids_are_in_order_and_names_unique():
    assert [check.id for check in CHECKS] == sorted({check.id for check in CHECKS})
    assert len({check.name for check in CHECKS}) == len(CHECKS)
