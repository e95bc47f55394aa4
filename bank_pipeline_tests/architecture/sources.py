"""The project's own files, as the repository knows them or as they lie in a copy of it."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_SKIPPED: Final = {"__pycache__", "node_modules"}
_TEXT: Final = {".py", ".md", ".toml", ".yaml", ".yml", ".lock", ".html", ".css", ".txt", ".ini"}
_NAMED: Final = {"Makefile", ".env.example", ".gitignore", "run", "Dockerfile"}


def python_files(*folders: str) -> list[Path]:
    """List the Python files below these top-level folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def text_files() -> list[Path]:
    """List every text file that belongs to the project: no cache, environment or local state."""
    top = [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    top += [ROOT / ".ci", ROOT / ".env.example", ROOT / ".gitignore"]
    found = [file for path in top for file in ([path] if path.is_file() else path.rglob("*"))]
    return sorted(
        file
        for file in found
        if file.is_file()
        and not _SKIPPED & {*file.parts}
        and (file.suffix in _TEXT or file.name in _NAMED)
    )


def relative(path: Path) -> str:
    """Name a file from the project's root."""
    return str(path.relative_to(ROOT))
