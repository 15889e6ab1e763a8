"""A folder as one file that a browser can take."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO


def zip_folder(folder: Path, file: IO[bytes], name: str) -> None:
    """Write what is in `folder` as a zip whose only folder is `name`; hidden files stay out."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                archive.write(path, f"{name}/{inside}")
