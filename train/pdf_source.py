"""Where a paper comes from: a PDF file, or arXiv; and whether it can be read at all."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from space.errors import UserError

ARXIV_URL = "https://arxiv.org"
_ARXIV = re.compile(r"(?:arxiv:\s*|https?://(?:www\.|export\.)?arxiv\.org/(?:abs|pdf)/)?"
                    r"(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(v\d+)?(?:\.pdf)?/?", re.I)
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Source:
    """A PDF on disk, the name of its Markdown file, and its arXiv id where it came from there."""

    path: Path
    slug: str
    arxiv: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of a PDF before it is read: page count, page heights in points, pages without text, hash."""

    heights: tuple[float, ...]
    blank: tuple[int, ...]
    sha256: str

    @property
    def pages(self) -> int:
        return len(self.heights)


def arxiv_id(item: str) -> str:
    """The arXiv id that `item` names (`2501.12948`, `arXiv:2501.12948v1`, an arxiv.org address), or ""."""
    match = _ARXIV.fullmatch(item.strip())
    return match[1] + (match[2] or "").lower() if match else ""


def locate(item: str, cache: Path) -> Source:
    """The PDF file behind a command-line argument; an arXiv id is downloaded to `cache` once."""
    path = Path(item)
    if path.is_file():
        slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
        if arxiv_id(path.stem):
            return Source(path, f"arxiv-{slug}", arxiv_id(path.stem))
        return Source(path, slug or "paper")
    paper = arxiv_id(item)
    if not paper:
        kind = "is a folder, not a PDF file" if path.is_dir() else "is neither a file here nor an arXiv id"
        raise UserError(f"{item} {kind}.", "Give PDF files, or ids such as 2501.12948.")
    slug = "arxiv-" + re.sub(r"[^a-z0-9]+", "-", paper.lower())
    target = cache / f"{paper.replace('/', '-')}.pdf"
    if not target.is_file():
        download(paper, target)
    return Source(target, slug, paper)


def download(paper: str, target: Path) -> None:
    """Fetch a paper's PDF; the file appears under its name only when it is whole."""
    url = f"{os.environ.get('ARXIV_URL', ARXIV_URL).rstrip('/')}/pdf/{paper}"
    target.parent.mkdir(parents=True, exist_ok=True)
    request = urllib.request.Request(url, headers={"User-Agent": "paper-to-markdown/1.0 (train.pdf)"})
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=".part", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            size = answer.headers.get("Content-Length")
            got = 0
            while block := answer.read(1 << 16):
                got += file.write(block)
        if size and got < int(size):
            raise UserError(f"The download of arXiv {paper} broke off after {got} of {size} bytes.", "Run it again.")
        if not part.read_bytes()[:1024].lstrip().startswith(b"%PDF-"):
            raise UserError(f"{url} answered with something that is not a PDF.",
                            f"Open {url} in a browser and save the PDF, then give the file.")
        part.chmod(0o644)
        os.replace(part, target)
    except urllib.error.HTTPError as error:
        raise _http_error(error.code, paper, url) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(f"arXiv {paper} could not be downloaded from {url} ({reason}).",
                        "Check the network, or give the PDF as a file.") from None
    finally:
        part.unlink(missing_ok=True)


def _http_error(code: int, paper: str, url: str) -> UserError:
    if code == 404:
        return UserError(f"arXiv has no paper {paper} ({url} answered 404).", "Check the id.")
    hint = "Wait a minute and run it again." if code in (429, 503) else "Give the PDF as a file instead."
    return UserError(f"arXiv refused {paper} ({url} answered {code}).", hint)


def check(path: Path) -> Facts:
    """Facts of a readable PDF. Raises UserError for one that is empty, cut off, encrypted, a scan, or no PDF."""
    data = path.read_bytes()
    name = path.name
    if not data:
        raise UserError(f"{name} is empty.", "Download it again.")
    if b"%PDF-" not in data[:1024]:
        raise UserError(f"{name} is not a PDF file.", "Give a file that begins with %PDF-.")
    if b"%%EOF" not in data[-4096:]:
        raise UserError(f"{name} is cut off: a PDF ends in %%EOF, this one does not.", "Download it again.")
    heights, blank = _pages(path)
    if not heights:
        raise UserError(f"{name} has no pages.", "Download it again.")
    if len(blank) == len(heights):
        raise UserError(f"{name} has no text on any of its {len(heights)} pages; it looks like a scan.",
                        f"Put a text layer under it first, for example `ocrmypdf {name} with-text.pdf`.")
    return Facts(tuple(heights), tuple(blank), hashlib.sha256(data).hexdigest())


def _pages(path: Path) -> tuple[list[float], list[int]]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise UserError(f"{path.name} is encrypted and asks for a password.",
                            "Save a copy without the password and give that.") from None
        reason = str(error).rstrip(".")
        raise UserError(f"{path.name} cannot be read as a PDF ({reason}).", "Download it again.") from None
    heights, blank = [], []
    try:
        for number in range(len(document)):
            page = document[number]
            heights.append(page.get_height())
            text = page.get_textpage()
            if text.count_chars() < 5:
                blank.append(number + 1)
            text.close()
            page.close()
    except pypdfium2.PdfiumError as error:
        raise UserError(f"Page {len(heights) + 1} of {path.name} is damaged ({error}).", "Download it again.") from None
    finally:
        document.close()
    return heights, blank


def split(path: Path, first: int, last: int, target: Path) -> Path:
    """Write pages `first` to `last` (from 1) of a PDF to `target`."""
    import pypdfium2

    document, part = pypdfium2.PdfDocument(path), pypdfium2.PdfDocument.new()
    try:
        part.import_pages(document, list(range(first - 1, last)))
        part.save(target)
    finally:
        part.close()
        document.close()
    return target
