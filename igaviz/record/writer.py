"""From records of plain arrays to files: shards, scalars, and the run file of one rank."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from igaviz.dump.write import StepRecord, publish, remove_leftovers, replace_file, shard_image
from igaviz.errors import OutputError
from igaviz.format import ShardName, run_json_name, scalars_name
from igaviz.record.attempts import (
    bytes_recorded,
    end_torn_line,
    highest_attempt,
    read_run_file,
)
from igaviz.record.provenance import provenance

_FREE_BYTES = 1 << 30
"""So much is left free on the disk, or a hundredth of it."""


class Writer:
    """One attempt of one rank in one folder. Knows no tensors, so any thread may own it.

    Raises `OutputError` where a file can't be written. `full` says why the last write was refused.
    """

    full = ""

    def __init__(
        self,
        folder: Path,
        *,
        rank: int,
        world_size: int,
        length_unit: str,
        max_bytes: int | None,
        settings: Mapping[str, Any],
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.attempt = highest_attempt(folder, rank) + 1
            remove_leftovers(folder, rank, also=[run_json_name(rank)])
            end_torn_line(folder / scalars_name(rank))
            self._bytes = bytes_recorded(folder, rank)
        except OSError as error:
            raise OutputError(
                f"can't record into {folder}: {error.strerror or error}",
                hint="the recorder needs a folder that it may write to",
            ) from error
        self._folder, self._rank, self._world_size = folder, rank, world_size
        self._length_unit, self._max_bytes = length_unit, max_bytes
        earlier = read_run_file(folder, rank)
        self._run_id = (
            _text(earlier.get("run_id"))
            or _text(read_run_file(folder, 0).get("run_id"))
            or uuid.uuid4().hex
        )
        self._earlier_attempts = earlier["attempts"]
        self._about: dict[str, Any] = {
            "attempt": self.attempt,
            "started": _now(),
            **provenance(),
            "settings": settings,
        }
        self.note()

    def write_step(self, record: StepRecord) -> bool:
        """Whether `record` was published: not, where there is no room for it."""
        image = shard_image(
            [record],
            length_unit=self._length_unit,
            run_id=self._run_id,
            rank=self._rank,
            world_size=self._world_size,
            attempt=self.attempt,
        )
        if not self._has_room(len(image)):
            return False
        name = ShardName(record.step, self._rank, record.phase, self.attempt)
        publish(self._folder, str(name), image)
        self._bytes += len(image)
        return True

    def append_scalars(self, lines: Sequence[Mapping[str, Any]]) -> bool:
        """Whether `lines` were appended to the scalars file: not, where there is no room."""
        text = "".join(
            json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n" for line in lines
        ).encode()
        if not self._has_room(len(text)):
            return False
        path = self._folder / scalars_name(self._rank)
        try:
            # One unbuffered write per step: a kill tears one line at most.
            with path.open("ab", buffering=0) as file:
                written = file.write(text)
        except OSError as error:
            raise OutputError(f"can't write {path}: {error.strerror or error}") from error
        if written != len(text):
            raise OutputError(f"can't write {path}: no space left for a whole line")
        self._bytes += len(text)
        return True

    def note(self, **facts: Any) -> None:  # noqa: ANN401 (anything JSON holds)
        """Add `facts` to this attempt in the run file."""
        self._about |= facts
        content = {
            "run_id": self._run_id,
            "rank": self._rank,
            "world_size": self._world_size,
            "length_unit": self._length_unit,
            "attempts": [*self._earlier_attempts, self._about],
        }
        text = json.dumps(content, indent=1, default=_plain) + "\n"
        replace_file(self._folder, run_json_name(self._rank), text.encode())

    def close(self, **facts: Any) -> None:  # noqa: ANN401
        """Say in the run file that the attempt came to its end."""
        self.note(ended=_now(), **facts)

    def _has_room(self, n_bytes: int) -> bool:
        """Whether `max_bytes` and the disk leave room; if not, `full` says which doesn't."""
        if self._max_bytes is not None and self._bytes + n_bytes > self._max_bytes:
            self.full = f"max_bytes={self._max_bytes} is used up"
            return False
        disk = shutil.disk_usage(self._folder)
        # A recording that fills the disk would take training's own checkpoint along.
        reserve = min(_FREE_BYTES, disk.total // 100)
        if disk.free - n_bytes < reserve:
            self.full = (
                f"the disk has {disk.free} bytes left, and {reserve} are left to training itself"
            )
            return False
        return True


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _plain(value: object) -> object:
    """What JSON has no word for, as it can say it: numbers of numpy, anything else as text."""
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else str(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
