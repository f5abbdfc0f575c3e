"""The interactive page of whole runs: one file that opens from disk and asks for no network."""

from igaviz.report.html.write import PageFile, check_output, write_page

__all__ = ["PageFile", "check_output", "write_page"]
