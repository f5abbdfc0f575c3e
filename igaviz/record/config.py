"""A recorder as a configuration asks for it: our own names, and those that users' YAML has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from igaviz.errors import RecordingError

OWN_SECTION = "igaviz"
DEFAULT_INTERVAL = 100
DEFAULT_FOLDER = "./attention_vis"

_IN_CODE = "length_unit"

_FAMILIES = (
    ("enable_attention_vis", "attention_vis_interval", "attention_vis_dir"),
    ("enable_vis", "vis_interval", "vis_dir"),
)
"""The names that users have: the switch, the interval, the folder. The first that is on counts."""

_HINT = (
    f"give it a section {OWN_SECTION} with dir and interval, or the names enable_attention_vis, "
    "attention_vis_interval, attention_vis_dir"
)


def recorder_arguments(
    mapping_or_path: Mapping[str, Any] | str | os.PathLike[str], known: Set[str]
) -> tuple[bool, dict[str, Any]]:
    """Whether recording is switched on, and the arguments of `Recorder` by name.

    `known` are the names of those that a configuration may give. Raises `RecordingError` where it
    says nothing of recording, holds an argument that doesn't exist, or contradicts itself.
    """
    if isinstance(mapping_or_path, Mapping):
        where, mapping = "the configuration", mapping_or_path
    else:
        where, mapping = str(mapping_or_path), _read_yaml(Path(mapping_or_path))
    own = mapping.get(OWN_SECTION)
    if own is None and "dir" in mapping and mapping.keys() <= known | {_IN_CODE}:
        own = mapping
    if own is not None:
        return True, _own_arguments(own, known, where)
    return _users_arguments(mapping, where)


def _own_arguments(own: object, known: Set[str], where: str) -> dict[str, Any]:
    if not isinstance(own, Mapping) or "dir" not in own:
        raise RecordingError(f"{where}: section {OWN_SECTION} names no dir", hint=_HINT)
    if _IN_CODE in own:
        raise RecordingError(
            f"{where} can't say length_unit: it is given by the code, as the layers fix it",
            hint='leave it out there, and write from_config(…, length_unit="nanometer")',
        )
    unknown = sorted(own.keys() - known)
    if unknown:
        raise RecordingError(
            f"{where}: a recorder has no {unknown[0]!r}", hint=f"it has {', '.join(sorted(known))}"
        )
    return dict(own)


def _users_arguments(mapping: Mapping[str, Any], where: str) -> tuple[bool, dict[str, Any]]:
    families = [
        {name: _the_one_value(mapping, name, where) for name in family} for family in _FAMILIES
    ]
    given = [
        (family[switch], family[interval], family[folder])
        for family, (switch, interval, folder) in zip(families, _FAMILIES, strict=True)
        if any(value is not None for value in family.values())
    ]
    if not given:
        raise RecordingError(f"{where} says nothing of recording", hint=_HINT)
    enabled, interval, folder = next((values for values in given if values[0]), given[0])
    if not isinstance(enabled, bool):
        raise RecordingError(
            f"{where} doesn't say whether to record",
            hint="enable_attention_vis: true (or false), beside the interval and the folder",
        )
    interval = DEFAULT_INTERVAL if interval is None else interval
    return enabled, {"dir": DEFAULT_FOLDER if folder is None else folder, "interval": interval}


def _the_one_value(mapping: Mapping[str, Any], name: str, where: str) -> Any:  # noqa: ANN401
    """The value of `name` in whatever section it stands; None where in none."""
    values = list(_values(mapping, name))
    if any(value != values[0] for value in values):
        raise RecordingError(
            f"{where} holds {name} more than once: {values[0]!r} and others",
            hint="pass the section that is meant",
        )
    return values[0] if values else None


def _values(mapping: Mapping[str, Any], name: str) -> Iterator[Any]:
    for key, value in mapping.items():
        if key == name:
            yield value
        elif isinstance(value, Mapping):
            yield from _values(value, name)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise RecordingError(
            "reading YAML needs PyYAML", hint="pip install pyyaml, or pass a mapping"
        ) from error
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordingError(f"can't read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise RecordingError(f"{path} holds no mapping", hint=_HINT)
    return content
