"""The annotation tools whose files are understood, by name."""

from __future__ import annotations

from exports_app.integrations.annotated import Tool
from exports_app.integrations.argilla import Argilla
from exports_app.integrations.doccano import Doccano
from exports_app.integrations.label_studio import LabelStudio
from exports_app.integrations.prodigy import Prodigy
from goldenproject.kit.errors import BadInput

TOOLS: dict[str, Tool] = {tool.name: tool for tool in (LabelStudio(), Argilla(), Doccano(), Prodigy())}


def tool_called(name: str) -> Tool:
    """Return a tool by name. Raises BadInput."""
    if name not in TOOLS:
        raise BadInput(f"Tool: found “{name[:40]}”, expected one of {', '.join(TOOLS)}.")
    return TOOLS[name]
