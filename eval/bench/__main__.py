"""`python -m eval.bench NAME ...` runs the `main` of eval/bench/NAME.py."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from space.errors import UserError


def names() -> list[str]:
    """The benchmarks of this folder: modules that define a `main` and are not parts of another."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py")
                  if not path.stem.startswith("_") and "\ndef main(" in path.read_text(encoding="utf-8"))


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in names():
        print(f"usage: python -m eval.bench {{{','.join(names())}}} ...", file=sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    try:
        return int(import_module(f"eval.bench.{arguments[0]}").main(arguments[1:]) or 0)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
