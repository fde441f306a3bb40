"""The results of a run: as figures, as a table in the terminal, and as one page to open offline."""

from nas.report.conclusion import headline
from nas.report.report import write_report
from nas.report.summary import summarize
from nas.report.terminal import terminal_summary

__all__ = ["headline", "summarize", "terminal_summary", "write_report"]
