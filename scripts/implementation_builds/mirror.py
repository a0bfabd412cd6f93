"""Role: copies sources to a build directory, for builders that compare paths and times: a checkout that was moved or
checked out again then needs no rebuild."""

from __future__ import annotations

from pathlib import Path


def mirror(root: Path, parts: list[str], into: Path) -> None:
    """Copies `parts` of `root`, files or directories, to the same paths below `into`. Unchanged files are not touched, and
    files without a source are deleted."""
    wanted = {file.relative_to(root) for part in parts for file in _files(root / part)}
    for file in wanted:
        copy, content = into / file, (root / file).read_bytes()
        if not copy.is_file() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    for copy in _files(into):
        if copy.relative_to(into) not in wanted:
            copy.unlink()


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
