"""Role: copies sources to where they are built, for builders that go by path and time: the same checkout at another place,
or checked out again, is then no reason to build anew."""

from __future__ import annotations

from pathlib import Path


def mirror(root: Path, parts: list[str], into: Path) -> None:
    """`parts` of `root`, files or directories, at the same places below `into`. What is the same there is not touched, and
    what is no longer here goes."""
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
