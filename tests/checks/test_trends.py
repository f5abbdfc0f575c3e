"""What is judged over steps, and between heads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igaviz.checks import Settings, conclude, judge_layer
from igaviz.checks.trends import MAX_STEPS, Course
from igaviz.metrics.sketch import FORMS, closest, moved, sketch
from igaviz.report.grouped import numbers


def diagnose(layers, settings=Settings()):  # noqa: B008
    return conclude((judge_layer(maps, settings).verdict() for maps in layers), settings)


def trends(diagnosis):
    return [(f.id, f.layer, str(f.severity)) for f in diagnosis.findings if f.id > "D209"]


def growing(layer, values, metric="saturation", first=300, **changes):
    return [
        layer(range(8), step=first + 100 * k, **{metric: value}, **changes)
        for k, value in enumerate(values)
    ]


RISING = (0.05, 0.06, 0.09, 0.15, 0.22, 0.28)


class TestGettingSick:
    @pytest.mark.parametrize("metric", ["saturation", "self_mass"])
    def test_a_number_that_rises_step_by_step(self, layer, metric):
        found = diagnose(growing(layer, RISING, metric))
        assert trends(found) == [("D210", 0, "warning")]
        (finding,) = found.findings
        assert finding.value == pytest.approx(0.25)
        assert numbers([finding]).startswith(f"{metric} 0.25 (threshold 0.2)")
        assert "5.5 % on average in the first third" in finding.message
        assert "from 300" in finding.message

    def test_any_order_of_steps_says_the_same(self, layer):
        steps = growing(layer, RISING)
        assert diagnose(steps[::-1]) == diagnose(steps)

    @pytest.mark.parametrize(
        "values",
        [
            RISING[:5],  # too few steps
            (0.15, 0.16, 0.18, 0.2, 0.22, 0.24),  # less than twofold
            (0.01, 0.02, 0.03, 0.04, 0.05, 0.06),  # far from sick
            (0.05, 0.28, 0.06, 0.22, 0.05, 0.28),  # up and down
        ],
    )
    def test_silent_otherwise(self, layer, values):
        assert trends(diagnose(growing(layer, values))) == []

    def test_silent_where_it_is_sick_already(self, layer):
        found = diagnose(growing(layer, (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)))
        assert [f.id for f in found.findings] == ["D203"]

    def test_silent_where_items_differ(self, layer):
        steps = growing(layer, RISING)
        steps[2] = layer(range(8), step=500, saturation=RISING[2], item="another")
        assert trends(diagnose(steps)) == []


class TestNothingMoves:
    def still(self, layer, steps, **changes):
        fixed = tuple(float(k) for k in range(FORMS))
        return [layer(range(8), step=step, sketch=fixed, **changes) for step in steps]

    def test_maps_that_stay_the_same(self, layer):
        settings = Settings.of(ignore=["D209"])
        found = diagnose(self.still(layer, (0, 300, 500)), settings)
        assert trends(found) == [("D211", 0, "warning")]
        assert "between step 0 and step 500" in found.findings[0].message

    @pytest.mark.parametrize("steps", [(0, 500), (0, 200, 499)])
    def test_silent_over_few_steps(self, layer, steps):
        assert trends(diagnose(self.still(layer, steps))) == []

    def test_silent_where_maps_move(self, layer):
        assert trends(diagnose([layer(step=step) for step in (0, 300, 500)])) == []


def test_heads_that_attend_alike_are_a_note(layer):
    maps = layer()
    maps[3:5] = layer({3, 4}, sketch=tuple(float(k) for k in range(FORMS)))[3:5]
    (finding,) = judge_layer(maps, Settings()).verdict().findings
    assert (finding.id, finding.heads, str(finding.severity)) == ("D209", (3, 4), "note")


def test_numbers_of_many_steps_stay_few_and_a_fair_sample_in_any_order(layer):
    steps = 4 * MAX_STEPS
    verdicts = [
        judge_layer(layer(n_heads=1, step=step, saturation=step / steps), Settings()).verdict()
        for step in range(steps)
    ]
    kept = []
    for order in (verdicts, verdicts[::-1], verdicts[1::2] + verdicts[::2]):
        course = Course()
        for verdict in order:
            course.add(verdict)
        kept.append(course.means)
    assert kept[0] == kept[1] == kept[2]
    assert len(course.means) == MAX_STEPS
    assert {0, steps - 1} <= course.means.keys()
    thirds = np.array_split(sorted(course.means), 3)
    assert [third.mean() / steps for third in thirds] == pytest.approx(
        [1 / 6, 3 / 6, 5 / 6], abs=0.03
    )


@given(seed=st.integers(0, 50), n=st.integers(30, 150), noise=st.floats(0, 0.5))
def test_sketches_tell_the_cosine_and_the_distance_of_maps(seed, n, noise):
    rng = np.random.default_rng(seed)
    one = rng.dirichlet(np.full(n, 0.2), size=n).astype(np.float32)
    other = (1 - noise) * one + noise * rng.dirichlet(np.full(n, 0.2), size=n).astype(np.float32)
    a, b = one - 1 / n, other - 1 / n
    exact = float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
    near, again, none = closest([sketch(one), sketch(other), (0.0,) * FORMS])
    assert near == again == pytest.approx(exact, abs=6 * (1.001 - exact))
    assert none is None
    distance = float(np.sqrt(((a - b) ** 2).sum() / max((a**2).sum(), (b**2).sum())))
    assert moved(sketch(one), sketch(other)) == pytest.approx(distance, rel=1.0, abs=1e-3)


def test_uniform_maps_have_no_direction():
    uniform = sketch(np.full((64, 64), 1 / 64, dtype=np.float32))
    assert max(map(abs, uniform)) < 1e-3
