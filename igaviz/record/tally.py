"""What a recording holds and what it had to leave out: counted, and the second said once."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence

from igaviz.dump.write import StepRecord
from igaviz.errors import RecordingError, named
from igaviz.record.capture import Moment
from igaviz.record.padding import padding_said
from igaviz.record.probe import PROBE_HINT
from igaviz.record.settings import READABLE_RESIDUES, Settings

_log = logging.getLogger(__name__)


class Tally:
    """The counts of one recording, and what was said of them.

    What is written or dropped is counted by the thread that writes, the rest by training's.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._said: set[Hashable] = set()
        self._phases: set[str] = set()
        self.recorded_steps = 0
        self._skipped_items = 0
        self._dropped_steps = 0
        self._empty_steps = 0
        self._failed_probes = 0

    def counts(self) -> dict[str, int]:
        """How many steps are on disk, and how much isn't, as the run file says it."""
        return {
            "recorded_steps": self.recorded_steps,
            "skipped_items": self._skipped_items,
            "dropped_steps": self._dropped_steps,
            "empty_steps": self._empty_steps,
            "failed_probes": self._failed_probes,
        }

    def warn_once(self, about: Hashable, text: str, *values: object) -> None:
        """Log a warning, the first time that there is one `about` this."""
        if about not in self._said:
            self._said.add(about)
            _log.warning(f"igaviz: {text}", *values)

    def count_skipped(self, empty: set[int], too_large: set[int], step: int) -> None:
        """Count items that were skipped, and say so the first time for each of the reasons."""
        none = (
            "none of their residues is valid by mask, which is true for valid residues: is it "
            "inverted?"
        )
        most = self._settings.most_residues
        limit = "readers take, " if most == READABLE_RESIDUES else "max_residues="
        many = f"they have more valid residues than {limit}{most}"
        for positions, reason in ((empty, none), (too_large, many)):
            if positions:
                self.warn_once(
                    ("skipped", reason),
                    "step %d: items %s of the batch are skipped: %s",
                    step,
                    sorted(positions),
                    reason,
                )
        self._skipped_items += len(empty) + len(too_large)

    def look_for_chosen(self, moment: Moment, layers: Sequence[int], batch_size: int) -> None:
        """Say which chosen layers and items the first step of a phase didn't have.

        Later steps may: a last batch is smaller, and a layer may be left out at random. What two
        phases lack alike is said once.
        """
        if moment.phase in self._phases:
            return
        self._phases.add(moment.phase)
        chosen = self._settings
        absent = [number for number in chosen.layers or () if number not in layers]
        if absent:
            self.warn_once(
                ("absent layers", *absent),
                "%s step %d: nothing is recorded of layers %s, which layers=%s names: those that "
                "were called are %s",
                moment.phase,
                moment.step,
                absent,
                [*(chosen.layers or ())],
                [*layers],
            )
        positions = () if isinstance(chosen.items, int) else chosen.items
        absent = [position for position in positions if position >= batch_size]
        if absent:
            self.warn_once(
                ("absent items", *absent),
                "%s step %d: nothing is recorded of items %s, which items=%s names: the batch has "
                "%d, counted from 0",
                moment.phase,
                moment.step,
                absent,
                [*positions],
                batch_size,
            )

    def count_empty(self, step: int) -> None:
        """Count a due step in which nothing was recorded, and say so the first time."""
        if not self._empty_steps:
            _log.warning(
                "igaviz: step %d was due but nothing was tapped: is tap(...) called, or an "
                "attached model, within recorder.step? (A CUDA graph is not heard, neither when it "
                "is captured nor when it is replayed: run the model itself in due steps.)",
                step,
            )
        self._empty_steps += 1

    def number_left_out(self, name: str, why: str, step: int) -> None:
        """Say that a number of a step isn't kept, the first time of its name; strict raises it."""
        said = f"step {step}: {name!r} of recorder.note is left out: {why}"
        if self._settings.strict:
            raise RecordingError(said)
        self.warn_once(("note", name), "%s; recording goes on", said)

    def probe_failed(self, error: Exception, call: str, step: int) -> None:
        """Count a probe whose `call` raised, and say so the first time; raises it where strict."""
        own_hint = error.hint if isinstance(error, RecordingError) else None
        failed = RecordingError(
            f"step {step}: the probe failed, which was called as {call}: {named(error)}",
            hint=own_hint or PROBE_HINT,
        )
        if self._settings.strict:
            raise failed from error
        self._failed_probes += 1
        if self._failed_probes == 1:
            _log.error(
                "igaviz: %s; hint: %s; training and recording go on, and the next due step tries "
                "it again",
                failed,
                failed.hint,
                exc_info=error,
            )

    def warn_of_padding(self, record: StepRecord) -> None:
        """Say so where layers gave padding as if it were residues, the first time."""
        if "padding" in self._said:
            return
        said = padding_said(record)
        if said:
            self.warn_once(
                "padding",
                "step %d: %s Then pass mask=[B, N], true for valid residues, to tap (an additive "
                "mask belongs to no term: give logits_before without it)",
                record.step,
                said,
            )

    def count_dropped(self, step: int) -> None:
        """Count a step that found no room in the queue, and say so the first time."""
        if not self._dropped_steps:
            _log.warning(
                "igaviz: step %d: its maps are dropped: with those that wait to be written they "
                "would take more than queue_bytes=%d; record fewer items, heads or layers, or more "
                'rarely, or let training wait with when_full="wait"',
                step,
                self._settings.queue_bytes,
            )
        self._dropped_steps += 1
