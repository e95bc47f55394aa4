"""Folders whose names have to be there after a power cut."""

import os
from pathlib import Path


def sync_folder(path: Path) -> None:
    """Have the names in a folder on disk for good, before anything relies on them."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
