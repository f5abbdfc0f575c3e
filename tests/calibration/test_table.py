"""What the checks say of the trained networks in the committed table: the aims, held."""

from pathlib import Path

import pytest

from igaviz.calibration import table
from igaviz.calibration.labels import LABELS
from igaviz.calibration.page import introduction, sections
from igaviz.calibration.scoring import by_recording, layers, score
from igaviz.checks import Severity, judge_layer
from igaviz.checks.settings import Settings
from igaviz.report.explain import checks_markdown


@pytest.fixture(scope="module", name="rows")
def _rows(sample_data):
    return list(table.read(sample_data / "calibration.csv.xz"))


@pytest.fixture(scope="module", name="known")
def _known(rows):
    return layers(rows)


@pytest.fixture(scope="module", name="tested")
def _tested(known):
    return [layer for layer in known if layer.testing]


def test_runs_that_thresholds_never_saw_hold_the_aims(tested):
    found = score(tested)
    assert found.named >= 0.99 * found.sick
    assert found.errors == 0
    assert found.warnings < 0.01 * found.healthy
    assert found.sick > 150
    assert found.healthy > 150


def test_every_cause_was_recorded_and_is_named(tested):
    scores = by_recording(tested)
    assert scores.keys() == LABELS.keys()
    unnamed = [name for name, found in scores.items() if found.named < 0.9 * found.sick]
    assert not unnamed


def test_the_page_of_the_checks_is_current(known):
    """If this fails, run `python -m igaviz.calibration page`."""
    page = Path(__file__).parents[2] / "docs" / "checks.md"
    assert page.read_text("utf-8") == checks_markdown(introduction(known), sections(known))


def test_other_chains_test_than_choose(known):
    items = {True: set(), False: set()}
    for layer in known:
        items[layer.testing] |= {m.item for m in layer.measurements if "residues" not in m.item}
    assert items[True]
    assert items[False]
    assert not items[True] & items[False]


def test_a_healthy_network_is_not_called_ill_before_it_learned(known):
    early = [layer for layer in known if layer.healthy and layer.step < 200]
    assert {layer.step for layer in early} >= {0, 25, 50, 100}
    assert not [layer for layer in early if Severity.ERROR in layer.found.values()]
    assert all(
        any(why.startswith("too early") for _, why in layer.verdict.skipped) for layer in early
    )


@pytest.mark.parametrize("prefix", ["size", "blind_size", "sick_size"])
def test_no_verdict_changes_with_the_size_of_the_protein(known, prefix):
    """Beyond notes: two heads that are alike may be so on one protein and not on another."""
    verdicts = {}
    for layer in known:
        if layer.recording.rpartition("_")[0] == prefix:
            worst = max(layer.found.values(), default=Severity.HEALTHY)
            said = worst if worst > Severity.NOTE else Severity.HEALTHY
            verdicts.setdefault((layer.seed, layer.number), set()).add(said)
    assert verdicts
    assert all(len(worst) == 1 for worst in verdicts.values())


def test_a_threshold_that_is_moved_far_fails_the_aims(rows):
    """The table can tell good thresholds from bad ones."""
    names = {"gamma_1e-4", "gamma_5", "healthy_small"}
    some = [row for row in rows if row.recording in names]
    blunt = Settings.of(settings=["gamma-too-small.effect=1e-6", "geometry-dominates.ratio=1e6"])
    nervous = Settings.of(settings=["softmax-saturated.share=-1"])
    sound = score(layers(some))
    assert score(layers(some, blunt)).named < 0.99 * sound.sick
    assert sound.errors == 0
    assert score(layers(some, nervous)).errors > 0


def test_the_table_gives_back_what_was_written(rows, tmp_path):
    some = [row for row in rows if row.recording == "frozen" and row.seed == 0]
    table.write(some, tmp_path / "again.csv.xz")
    assert list(table.read(tmp_path / "again.csv.xz")) == some
    first = [r.measurement for r in some if r.seed == 0 and r.measurement.id.layer == 0]
    assert judge_layer(first[:8], Settings()).verdict().maps == 8
