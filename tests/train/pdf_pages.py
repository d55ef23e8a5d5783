"""Small PDFs of our own, drawn with reportlab, that have what real papers have."""

from __future__ import annotations

from pathlib import Path

from reportlab.lib import pdfencrypt
from reportlab.pdfgen.canvas import Canvas

WIDTH, HEIGHT = 612.0, 792.0
LEFT = [
    "We study how the pages of a scientific paper can be",
    "turned into running text. The method reads the col-",
    "umns in order and keeps the two-part words such as",
    "cold-start data whole. A sentence that begins in the",
    "left column and is not finished there has to go on",
]
RIGHT = [
    "in the right column, behind no other text at all. The",
    "second half of this paragraph shows that cold-",
    "start data keeps its hyphen, while a broken word does",
    "not keep it. This paragraph ends on the next page, so",
]
NEXT = [
    "no header and no page number may stand inside this",
    "very sentence about reading order and page headers.",
]
ROWS = [("plain", "41.5", "12.0", "7"), ("tuned", "52.25", "13.5", "8"), ("tuned + RAG", "88.0", "-", "19")]


class Page:
    """Draws text with heights counted from the top, as the reader sees them."""

    def __init__(self, path: Path, encrypt: pdfencrypt.StandardEncryption | None = None) -> None:
        self.canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT), encrypt=encrypt, invariant=1)
        self.number = 0

    def put(self, x: float, y: float, text: str, size: float = 10, bold: bool = False) -> None:
        self.canvas.setFont("Times-Bold" if bold else "Times-Roman", size)
        self.canvas.drawString(x, HEIGHT - y, text)

    def lines(self, x: float, y: float, texts: list[str], size: float = 10) -> float:
        for text in texts:
            self.put(x, y, text, size)
            y += 1.2 * size
        return y

    def rule(self, x0: float, x1: float, y: float, width: float = 0.5) -> None:
        self.canvas.setLineWidth(width)
        self.canvas.line(x0, HEIGHT - y, x1, HEIGHT - y)

    def upright(self, x: float, y0: float, y1: float) -> None:
        self.canvas.setLineWidth(0.5)
        self.canvas.line(x, HEIGHT - y0, x, HEIGHT - y1)

    def end(self, header: str = "") -> None:
        self.number += 1
        if header:
            self.put(250, 40, header, 9)
            self.put(300, 760, str(self.number), 10)
        self.canvas.showPage()


def spanning_table(page: Page, x: float, y: float) -> float:
    """A booktabs table: "Answers" spans two columns without a rule of its own, "Time" stands alone."""
    right, centres = x + 230, (x + 115, x + 160, x + 210)
    page.rule(x, right, y, 0.9)
    page.canvas.setFont("Times-Roman", 9)
    page.canvas.drawCentredString((centres[0] + centres[1]) / 2, HEIGHT - y - 11, "Answers")
    page.rule(centres[0] - 20, centres[1] + 20, y + 14, 0.3)
    page.put(x + 2, y + 24, "Variant", 9)
    for centre, name in zip(centres, ("right", "wrong", "Time (s)"), strict=True):
        page.canvas.drawCentredString(centre, HEIGHT - y - 24, name)
    page.rule(x, right, y + 29)
    for i, (label, *cells) in enumerate(ROWS):
        foot = y + 41 + 12 * i
        page.put(x + 2, foot, label, 9)
        for centre, cell in zip(centres, cells, strict=True):
            page.canvas.drawCentredString(centre, HEIGHT - foot, cell)
    bottom = y + 47 + 12 * (len(ROWS) - 1)
    page.rule(x, right, bottom, 0.9)
    return bottom


def two_columns(path: Path, pages: int = 3) -> Path:
    """A paper in two columns with a running header, a table in a column, a chart, footnote and references."""
    page, header = Page(path), "A Study of Page Headers"
    page.put(150, 90, "Reading Papers Column by Column", 18, bold=True)
    page.put(220, 115, "Ada Muster and Ben Beispiel", 11)
    page.put(240, 130, "Institute of Examples", 10)
    page.put(60, 170, "Abstract", 12, bold=True)
    page.lines(60, 188, LEFT)
    page.put(320, 170, RIGHT[0])
    page.lines(320, 182, RIGHT[1:])
    page.put(320, 700, "1 This footnote explains the word column.", 7)
    page.end(header)
    page.lines(60, 80, NEXT)
    page.put(60, 130, "1. Results", 13, bold=True)
    page.lines(60, 150, ["The results of the three variants are given in the",
                         "table on this page and are discussed below it."])
    bottom = spanning_table(page, 60, 190)
    page.lines(60, bottom + 16, ["Table 1: Answers of the three variants, counted", "by hand."], 9)
    page.put(320, 80, "1.1. Discussion of the Results", 11, bold=True)
    page.lines(320, 100, ["The text of the right column discusses the results",
                          "of the table and says nothing else of interest."])
    for i in range(6):
        page.rule(340, 540, 150 + 20 * i)
        page.put(325, 153 + 20 * i, str(100 - 20 * i), 6)
    page.put(340, 265, "plain   tuned   tuned + RAG", 6)
    page.lines(320, 285, ["Figure 1: Bars of the three variants."], 9)
    page.end(header)
    for _ in range(pages - 3):
        page.lines(60, 80, ["This page repeats the same words of the study again,",
                            "so that the document has the length we want it to."])
        page.end(header)
    page.put(60, 80, "2. Conclusion", 13, bold=True)
    page.lines(60, 100, ["Columns can be read in order by a careful program",
                         "that knows where the text of a column has its end."])
    page.put(60, 150, "References", 13, bold=True)
    page.lines(60, 170, ["A. Author. A title of a paper that nobody wrote, in the", "proceedings of nothing, 2020."])
    page.end(header)
    page.canvas.save()
    return path


def grid(path: Path) -> Path:
    """A drawn grid whose cells wrap, with its caption above."""
    page = Page(path)
    page.put(72, 80, "1. Settings of the training runs of this study", 12, bold=True)
    page.lines(72, 100, ["The settings of every run are listed in the table below this line of text."])
    page.put(72, 130, "Table 2. Settings of the runs.", 10)
    xs, ys = (72, 172, 292, 392), (145, 163, 193, 223)
    for y in ys:
        page.rule(xs[0], xs[-1], y)
    for x in xs:
        page.upright(x, ys[0], ys[-1])
    cells = [("Run", "Data", "Rate"), ("first run,\nsmall", "622 questions\nof the corpus", "2e-4"),
             ("second run,\nlarge", "all questions\nand answers", "1e-4")]
    for row, y in zip(cells, ys, strict=False):
        for x, cell in zip(xs, row, strict=False):
            page.lines(x + 4, y + 12, cell.split("\n"), 9)
    page.lines(72, 250, ["After the table the text of the section goes on for one more line."])
    page.end()
    page.canvas.save()
    return path


def scan(path: Path) -> Path:
    page = Page(path)
    page.canvas.rect(50, 50, 300, 300, fill=1)
    page.end()
    page.canvas.save()
    return path


def encrypted(path: Path, password: str = "secret") -> Path:
    page = Page(path, pdfencrypt.StandardEncryption(password, ownerPassword="owner", canPrint=0))
    page.lines(72, 80, ["Only who knows the password can read this line of text."])
    page.end()
    page.canvas.save()
    return path
