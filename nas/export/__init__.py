"""Export: a run's networks as files that work without this project."""

from nas.export.exporting import Exported, ExportError, Format, export
from nas.export.front import ExportedFront, export_front

__all__ = ["ExportError", "Exported", "ExportedFront", "Format", "export", "export_front"]
