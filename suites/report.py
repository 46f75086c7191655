"""All runs as one page for a browser: `python -m suites.report runs`. See `--help`."""

import warnings
from pathlib import Path
from typing import Any

import suites.environment  # noqa: F401  (before NumPy)
from suites import compare
from suites.environment import say
from suites.errors import UserError
from suites.options import Key, command, read_options, split
from suites.records import write_atomic
from suites.reporting.data import collect, encode

HELP = f"""\
One page with all runs below some folders: frontiers of score against cost, learning curves, tables,
videos, and what was left out. It opens from disk, without a network.

  python -m suites.report runs                       writes report.html
  python -m suites.report runs results out=all.html
  python -m suites.report runs tasks=cheetah-run,walker-walk methods=sac,mpc

Links to videos and run folders are relative: keep the page and the folders in the same places to
each other. Runs that were not scored alike are refused, unless `mix=` says what may differ.

Keys
  out: report.html    # the file
  title: null         # what stands over it
  tasks: null         # some of them, with commas between; null: all
  methods: null       # some of them, or how their names begin
  only: null          # runs with these settings alone, as in only=task.sticky=0.25
  mix: null           # what may differ: {", ".join(compare.MIXED)}
  unfinished: false   # also runs that are not done: then curves end where the shortest does"""
_SHARED = ("tasks", "methods", "only", "mix", "unfinished")
KEYS = {"out": Key(str, "report.html"), "title": Key(str, None)} | {
    name: compare.KEYS[name] for name in _SHARED
}
PAGE = Path(__file__).parent / "reporting"
STYLE, SCRIPT, DATA = "/* style */", "/* script */", "/* data */"
SCRIPTS = tuple(
    f"{name}.js"
    for name in ("numbers", "plot", "frontier", "curves", "tables", "methods", "report")
)


def main() -> None:
    """The command line."""
    command(HELP, report)


def report(words: list[str]) -> None:
    """Write the page.

    Raises:
      UserError: for what can't be compared, read or written.
    """
    paths, said = split(words)
    options = read_options(said, KEYS)
    if not options["out"].endswith(".html"):
        raise UserError(f"out is '{options['out']}': give a file that ends in .html")
    out = Path(options["out"])
    text = page([Path(path) for path in paths], options, out.parent)
    try:
        write_atomic(out, text.encode())
    except OSError as error:
        raise UserError(f"can't write {out}: {error.strerror}; choose another out=") from error
    say(f"{out}: {len(text) / 1e6:.1f} MB")


def page(paths: list[Path], options: dict[str, Any], place: Path) -> str:
    """The page, for a file in the folder `place`.

    Raises:
      UserError: where there are no runs, or they were not scored alike.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = compare.gather(paths, options)
    for warning in caught:
        warnings.warn(str(warning.message), stacklevel=1)
    left_out = [str(warning.message) for warning in caught]
    told = {"title": options["title"], "paths": [str(path) for path in paths]}
    data = told | collect(results, left_out, place)
    parts = {
        STYLE: (PAGE / "report.css").read_text(),
        SCRIPT: "\n".join((PAGE / name).read_text() for name in SCRIPTS),
        DATA: encode(data),
    }
    text = (PAGE / "page.html").read_text()
    for mark, content in parts.items():  # what is put in holds no later mark: data come last
        before, _, after = text.partition(mark)
        text = before + content + after
    return text


if __name__ == "__main__":
    main()
