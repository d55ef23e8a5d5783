"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from space.errors import UserError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place and then put it there, so that a reader finds the old one or the new one. Text is
    UTF-8, with the line ends it has."""
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def unwritable(error: OSError) -> UserError:
    """The sentence for a file that could not be written. Raises the error itself where it is of another kind."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
        raise error
    name = f" {Path(error.filename).name}" if isinstance(error.filename, str) else ""
    return UserError(f"The file{name} cannot be written ({error.strerror})." if name else
                     f"A file cannot be written ({error.strerror}).",
                     "Make room there, then run the same command again: what is finished stays.")
