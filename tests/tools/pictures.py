"""The pictures of the README, taken from the real app with its real models: `make pictures`.

    python -m tests.tools.pictures [--only NAME] [--question TEXT] [--out docs/pictures]

Starts the app on a free port and drives it in headless Chromium; best on an idle machine, as the speeds in the
pictures are those of the moment. `answers.gif` shows a question typed and answered three times: every frame is
a screenshot and stands for as long as the page looked so, but at most two seconds; a film of more than thirty
seconds is shown faster, and the command says by how much. Stills are drawn in few colours, which keeps them at
some tens of kB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from space.settings import ROOT
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.test_boot import free_port

QUESTION = "What pass@1 did DeepSeek-R1-Zero reach on AIME 2024?"
FILM_LIMIT_BYTES = 3_000_000
LONGEST_MS, LAST_MS, SHORTEST_MS = 2000, 4000, 20
FILM_MS, COLOURS = 30_000, 128
STATES = "[...document.querySelectorAll('.card')].map(card => card.dataset.state)"
PLOT = ".js-plotly-plot .main-svg"


@dataclass(frozen=True)
class Still:
    """A picture: the query of its address, what must be there before it is taken, the window in pixels, and
    what stands at its top."""

    name: str
    query: str
    wait: str
    width: int = 1280
    height: int = 900
    dark: bool = False
    top: str = ""


RECORDED = ".card.tuned_rag[data-state=done]"
"""The recorded comparison that greets a visitor; there is none without an evaluation run in assets/results."""
STILLS = (
    Still("compare", "", RECORDED),
    Still("evidence-dark", "", RECORDED, dark=True, top="#asked-row"),
    Still("compare-phone", "", RECORDED, 390, 844, top="#asked-row"),
    Still("evaluation", "?tab=eval", f"#tab-eval {PLOT}"),
    Still("training", "?tab=train", f"#train-loss {PLOT}"),
    Still("corpus", "?tab=corpus&doc=deepseek-r1-zero&passage=deepseek-r1-zero%238", ".bit.linked", top="#corpus-head"),
    Still("about", "?tab=about", ".about section"),
)


def durations(times_s: Sequence[float], same: Sequence[bool]) -> list[tuple[int, int]]:
    """(index, milliseconds) of the frames to keep: those that look other than the one before, each for as
    long as it stood, at most `LONGEST_MS`; the last one `LAST_MS`."""
    kept = [n for n, repeated in enumerate(same) if not repeated]
    stood = [max(SHORTEST_MS, min(LONGEST_MS, round(1000 * (times_s[b] - times_s[a]))))
             for a, b in zip(kept, kept[1:], strict=False)]
    return list(zip(kept, [*stood, LAST_MS], strict=True)) if kept else []


def faster(kept: Sequence[tuple[int, int]]) -> tuple[float, list[tuple[int, int]]]:
    """(factor, frames) of a film that moves for at most `FILM_MS`; the last frame stands as long as before."""
    factor = max(1.0, sum(ms for _, ms in kept[:-1]) / FILM_MS)
    return factor, [*((n, max(SHORTEST_MS, round(ms / factor))) for n, ms in kept[:-1]), *kept[-1:]]


def film(frames: Sequence[tuple[float, bytes]], width: int, out: Path) -> None:
    """Write the frames (seconds, PNG) as an animated GIF, `width` pixels wide."""
    from PIL import Image

    same = [n > 0 and frames[n][1] == frames[n - 1][1] for n in range(len(frames))]
    factor, kept = faster(durations([at for at, _ in frames], same))
    pictures = [_scaled(frames[n][1], width) for n, _ in kept]
    some = pictures[:: max(1, len(pictures) // 8)] + pictures[-1:]
    height = pictures[0].height
    together = Image.new("RGB", (width, height * len(some)))
    for n, picture in enumerate(some):
        together.paste(picture, (0, n * height))
    palette = _few_colours(together)
    drawn = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    _write(out, lambda file: drawn[0].save(file, format="GIF", save_all=True, append_images=drawn[1:],
                                           duration=[ms for _, ms in kept], loop=0, disposal=1))
    print(f"{out.name}: {frames[-1][0] - frames[0][0]:.0f} s of the app, shown {factor:.1f} times as fast")


def _scaled(png: bytes, width: int) -> Any:
    from PIL import Image

    picture = Image.open(BytesIO(png)).convert("RGB")
    return picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)


def _few_colours(picture: Any) -> Any:
    """The picture in 128 colours, chosen so that small patches of a strong colour keep theirs."""
    from PIL import Image

    return picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def still(png: bytes, out: Path) -> None:
    """Write a screenshot in few colours."""
    from PIL import Image

    picture = _few_colours(Image.open(BytesIO(png)).convert("RGB"))
    _write(out, lambda file: picture.save(file, format="PNG", optimize=True))


def _write(out: Path, save: Any) -> None:
    held = out.with_suffix(".part")
    with held.open("wb") as file:
        save(file)
    os.replace(held, out)
    print(f"{out.name}: {out.stat().st_size / 1000:.0f} kB")


@contextmanager
def running_app() -> Iterator[str]:
    """The address of an app that runs until the block ends."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(ROOT / "space" / "app.py")], env={**os.environ, "PORT": str(port)})
    url = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + 180
        while process.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        else:
            raise SystemExit("The app did not start; its output above says why.")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def ask(page: Any, question: str) -> Iterator[None]:
    """Type the question and send it; yields as often as the page may have changed, until all answers stand."""
    page.click("#question textarea")
    page.fill("#question textarea", "")
    for start in range(0, len(question), 3):
        page.keyboard.type(question[start:start + 3])
        yield
    page.keyboard.press("Enter")
    page.locator("#status-row").evaluate("element => element.scrollIntoView({behavior: 'smooth'})")
    begun, deadline = False, time.monotonic() + 240
    while time.monotonic() < deadline:
        yield
        states = page.evaluate(STATES)
        finished = len(states) == 3 and all(state in ("done", "failed") for state in states)
        begun = begun or not finished
        if begun and finished:
            return
    raise SystemExit("The answers were not finished within four minutes.")


def shoot(browser: Any, url: str, wanted: Still, out: Path) -> None:
    """Take one still."""
    from playwright.sync_api import TimeoutError

    context = browser.new_context(viewport={"width": wanted.width, "height": wanted.height},
                                  color_scheme="dark" if wanted.dark else "light", is_mobile=wanted.width < 640)
    page = context.new_page()
    page.goto(url + wanted.query)
    try:
        page.wait_for_selector(wanted.wait, timeout=120_000)
    except TimeoutError:
        raise SystemExit(f"{wanted.name}: {wanted.wait} did not appear on the page.") from None
    time.sleep(3)
    if wanted.top:
        page.locator(wanted.top).first.evaluate("element => element.scrollIntoView({behavior: 'instant'})")
    time.sleep(1)
    still(page.screenshot(), out / f"{wanted.name}.png")
    context.close()


def record(browser: Any, url: str, question: str, out: Path) -> None:
    """Film one question from typing to the third answer."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, color_scheme="light")
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#question textarea", timeout=120_000)
    page.wait_for_selector(".models-line.ready", state="attached", timeout=240_000)
    time.sleep(1)
    frames = [(time.monotonic(), page.screenshot())]
    for _ in ask(page, question):
        frames.append((time.monotonic(), page.screenshot()))
        time.sleep(0.1)
    frames.append((time.monotonic(), page.screenshot()))
    context.close()
    film(frames, 900, out / "answers.gif")
    if (out / "answers.gif").stat().st_size > FILM_LIMIT_BYTES:
        raise SystemExit("answers.gif is larger than 3 MB: ask a question with shorter answers.")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--only", action="append", choices=["answers", *(s.name for s in STILLS)],
                        help="take only this picture; may be repeated")
    options = parser.parse_args(argv)
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise SystemExit("There is no Chromium: apt-get install chromium")
    options.out.mkdir(parents=True, exist_ok=True)
    with running_app() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for wanted in STILLS:
            if not options.only or wanted.name in options.only:
                shoot(browser, url, wanted, options.out)
        if not options.only or "answers" in options.only:
            record(browser, url, options.question, options.out)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
