"""What a run came to: as figures, as a table in the terminal, and as one page to open offline."""

from nas.report.report import write_report
from nas.report.summary import headline, summarize, terminal_summary

__all__ = ["headline", "summarize", "terminal_summary", "write_report"]
