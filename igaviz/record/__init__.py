"""The training side: record what attention really was, and never get in the way."""

from igaviz.record.recorder import Recorder
from igaviz.record.shared import count_forward, shared_recorder
from igaviz.record.tap import recording, tap

__all__ = ["Recorder", "count_forward", "recording", "shared_recorder", "tap"]
