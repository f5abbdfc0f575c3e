import pytest

from igaviz.errors import RecordingError
from igaviz.record.schedule import make_schedules


def due(interval=None, at=(), scalars=None, upto=12_000):
    maps, _ = make_schedules(interval, at, scalars)
    return [step for step in range(upto) if maps(step)]


def test_a_number_is_every_so_many_steps_from_0_on():
    assert due(100, upto=301) == [0, 100, 200, 300]


def test_a_mapping_is_dense_early_and_sparse_later():
    steps = due({0: 50, 5000: 500}, upto=6001)
    assert steps == [*range(0, 5000, 50), 5000, 5500, 6000]


def test_a_mapping_that_starts_later_says_nothing_before():
    assert due({100: 40}, upto=201) == [120, 160, 200]


def test_a_function_of_the_step_decides():
    assert due(lambda step: step.bit_count() == 1, upto=20) == [1, 2, 4, 8, 16]


def test_named_steps_come_on_top():
    assert due(100, at=[7, 150], upto=201) == [0, 7, 100, 150, 200]
    assert due(at=[7], upto=20) == [7]


def test_scalars_have_a_schedule_of_their_own():
    maps, scalars = make_schedules(None, (), 10)
    assert not any(maps(step) for step in range(100))
    assert [step for step in range(31) if scalars(step)] == [0, 10, 20, 30]


@pytest.mark.parametrize("interval", [0, -5, 2.5, True, {}, {0: 0}, {-1: 10}, {"0": 10}, "100"])
def test_an_interval_that_makes_no_sense_is_refused_at_once(interval):
    with pytest.raises(RecordingError, match="interval"):
        make_schedules(interval, (), None)


def test_nothing_ever_due_is_refused():
    with pytest.raises(RecordingError, match="nothing would ever be recorded"):
        make_schedules(None, (), None)
