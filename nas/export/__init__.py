"""Export: a run's best network as files that work without this project."""

from nas.export.exporting import Exported, ExportError, Format, export

__all__ = ["ExportError", "Exported", "Format", "export"]
