"""The folder: which files it has, what is to be found out about each, and how their names travel."""

from __future__ import annotations

import hashlib
import os
import sysconfig
import zlib
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

CHUNK = 1024 * 1024


class Tree(msgspec.Struct, frozen=True):
    """The files below `folder` whose names end in `suffix`, without the folders named in `skip`."""

    folder: str
    suffix: str = ""
    skip: tuple[str, ...] = ()

    def files(self) -> list[str]:
        """Paths below the folder, sorted. Regular files only; folders that cannot be listed have none."""
        found: list[Path] = []
        for place, folders, names in os.walk(self.folder):
            here = Path(place)
            folders[:] = [name for name in folders if name not in self.skip and str(here / name) not in self.skip]
            found += [path for name in names if name.endswith(self.suffix) and _is_regular(path := here / name)]
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def without(self, folder: Path) -> Tree:
        """The same without this one."""
        return msgspec.structs.replace(self, skip=(*self.skip, str(folder)))


class Measures(msgspec.Struct, frozen=True):
    """What the demo finds out about a file. `path` is in its `shown` form."""

    path: str
    size: int
    lines: int
    sha256: str
    compressed: int


def standard_library() -> Tree:
    """The standard library of the Python that runs this."""
    return Tree(sysconfig.get_path("stdlib"), ".py", ("site-packages", "dist-packages"))


def measure(folder: str, path: str) -> Measures:
    """Read a file once; raises OSError."""
    size = lines = compressed = 0
    last = b""
    digest, packer = hashlib.sha256(), zlib.compressobj()
    with Path(folder, path).open("rb") as file:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            lines += chunk.count(b"\n")
            digest.update(chunk)
            compressed += len(packer.compress(chunk))
            last = chunk[-1:]
    lines += last not in (b"", b"\n")
    return Measures(shown(path), size, lines, digest.hexdigest(), compressed + len(packer.flush()))


def sha256(folder: str, path: str) -> str:
    """The digest by itself, another way; raises OSError."""
    with Path(folder, path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shown(path: str) -> str:
    """A path as text that any message, log and terminal can carry: what is unprintable, or no UTF-8, is %XX.

    File names are bytes, not text; `original` gives exactly the same name back.
    """
    return "".join(_escaped(c) if c == "%" or not c.isprintable() else c for c in path)


def original(text: str) -> str:
    """The path of which `shown` gave this text."""
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def _escaped(character: str) -> str:
    return quote_from_bytes(character.encode("utf-8", "surrogateescape"), safe="")


def _is_regular(path: Path) -> bool:
    # A link is no file of its own, and reading a pipe or a socket would wait for ever.
    return path.is_file() and not path.is_symlink()
