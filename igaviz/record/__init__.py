"""The training side: record what attention really was, and never get in the way."""

from igaviz.record.tap import recording, tap

__all__ = ["recording", "tap"]
