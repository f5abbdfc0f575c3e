import pytest

from igaviz.errors import RecordingError
from igaviz.record import Recorder
from igaviz.record.config import recorder_arguments

KNOWN = {"dir", "interval", "heads"}


@pytest.mark.parametrize(
    "config",
    [
        {"enable_attention_vis": True, "attention_vis_interval": 50, "attention_vis_dir": "vis"},
        {"enable_vis": True, "vis_interval": 50, "vis_dir": "vis"},
        {"training": {"logging": {"enable_vis": True, "vis_interval": 50, "vis_dir": "vis"}}},
        {"model": {"enable_vis": True, "vis_interval": 50}, "paths": {"vis_dir": "vis"}},
        {"a": {"enable_vis": True, "vis_dir": "vis"}, "b": {"vis_interval": 50, "vis_dir": "vis"}},
        {
            "enable_attention_vis": False,
            "attention_vis_dir": "other",
            "enable_vis": True,
            "vis_interval": 50,
            "vis_dir": "vis",
        },
        {"igaviz": {"dir": "vis", "interval": 50}, "enable_vis": False, "dir": "data"},
        {"dir": "vis", "interval": 50},
    ],
)
def test_all_names_that_users_have_are_read(config):
    assert recorder_arguments(config, KNOWN) == (True, {"dir": "vis", "interval": 50})


def test_what_is_not_said_has_the_defaults_that_users_know():
    enabled, arguments = recorder_arguments({"enable_vis": True}, KNOWN)
    assert enabled
    assert arguments == {"dir": "./attention_vis", "interval": 100}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "says nothing of recording"),
        ({"dir": "data", "layers": 6, "lr": 1e-3}, "says nothing of recording"),
        ({"igaviz": {"dir": "vis", "intervall": 50}}, "'intervall'"),
        ({"igaviz": {"interval": 50}}, "names no dir"),
        ({"igaviz": "vis"}, "names no dir"),
        ({"igaviz": {"dir": "vis", "length_unit": "nanometer"}}, "can't say length_unit"),
        ({"dir": "vis", "interval": 50, "length_unit": "nanometer"}, "can't say length_unit"),
        ({"attention_vis_dir": "vis"}, "whether to record"),
        ({"enable_vis": "yes", "vis_dir": "vis"}, "whether to record"),
        ({"a": {"vis_dir": "x"}, "b": {"vis_dir": "y"}, "enable_vis": True}, "more than once"),
    ],
)
def test_a_configuration_that_is_unclear_is_refused(config, said):
    with pytest.raises(RecordingError, match=said):
        recorder_arguments(config, KNOWN)


def test_a_yaml_file_is_read(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text(
        f"training:\n  enable_attention_vis: true\n  attention_vis_dir: {tmp_path / 'vis'}\n"
        "  attention_vis_interval: {0: 50, 5000: 500}\n"
    )
    with Recorder.from_config(path, length_unit="nanometer") as recorder:
        for step in (0, 10, 50):
            with recorder.step(step):
                pass
    assert (tmp_path / "vis" / "run.json").exists()


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "\x00"])
def test_a_file_that_is_no_yaml_mapping_is_refused(tmp_path, text):
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(RecordingError, match=r"train\.yaml"):
        Recorder.from_config(path, length_unit="nanometer")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="No such file"):
        Recorder.from_config(tmp_path / "none.yaml", length_unit="nanometer")


@pytest.mark.parametrize(
    ("unit", "meant"),
    [
        *[(unit, "nanometer") for unit in ("nm", "Nanometre", "NANOMETER")],
        *[(unit, "angstrom") for unit in ("A", "\u00c5", "\u212b", "Angstrom", " angstroms")],
    ],
)
def test_a_unit_by_another_name_is_answered_with_the_one_it_has_here(tmp_path, unit, meant):
    with pytest.raises(RecordingError, match="length_unit is") as caught:
        Recorder(tmp_path, interval=1, length_unit=unit)
    assert caught.value.hint == f'write length_unit="{meant}"'


@pytest.mark.parametrize("unit", ["bohr", "", None, 10, ["nm"]])
def test_what_is_no_unit_is_answered_with_both(tmp_path, unit):
    with pytest.raises(RecordingError, match="length_unit is") as caught:
        Recorder(tmp_path, interval=1, length_unit=unit)
    assert '"angstrom" or "nanometer"' in caught.value.hint


def test_switched_off_it_touches_nothing(tmp_path, toy, batch, caplog):
    config = {"enable_vis": False, "vis_interval": 1, "vis_dir": tmp_path / "vis"}
    model = toy()
    with Recorder.from_config(config, length_unit="nanometer") as recorder:
        for step in range(3):
            with recorder.step(step):
                model(*batch())
    assert not (tmp_path / "vis").exists()
    assert caplog.messages == []


def test_our_own_section_reaches_the_recorder(tmp_path):
    config = {"igaviz": {"dir": tmp_path, "interval": 10, "attention_dtype": "float99"}}
    with pytest.raises(RecordingError, match="float99"):
        Recorder.from_config(config, length_unit="nanometer")
