"""Networks of a run are exported as files that work without this project."""

from nas.export.exporting import Exported, export
from nas.export.formats import Format
from nas.export.front import ExportedFront, export_front
from nas.export.verify import ExportError

__all__ = ["ExportError", "Exported", "ExportedFront", "Format", "export", "export_front"]
