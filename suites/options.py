"""Command lines of `python -m suites.<name> <paths> key=value ...`, and their errors."""

import math
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.errors import HydraException

from suites import usage
from suites.doctor import check_versions
from suites.environment import complain, debugging, say
from suites.errors import UserError


@dataclass(frozen=True)
class Key:
    """An option.

    Attributes:
      kind: int, float, bool, str, or tuple for several words with commas between them.
      default: Its value where nothing is said; with None, `null` can be said too.
      least: Of a number. Numbers of kind float are above it, others at least so many.
      choices: Of a str or of each word of a tuple; empty: any.
    """

    kind: type
    default: Any
    least: float = 0
    choices: tuple[str, ...] = ()


def command(
    help_text: str,
    body: Callable[[list[str]], int | None],
    interrupted: str = "nothing was written",
) -> None:
    """Run a command line; never returns.

    Exit code: what `body` returns, 0 for None; 2 for bad input or a failing machine, which is told
    in one line; 130 if it was interrupted.
    """
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    words = sys.argv[1:]
    sys.argv[1:] = []  # the words of a run would be looked for in it
    try:
        if not words or {"-h", "--help"} & set(words):
            say(help_text)
            sys.exit(0 if words else 2)
        check_versions()
        sys.exit(body(words) or 0)
    except (UserError, HydraException) as error:
        if debugging():
            raise
        complain(f"error: {usage.explain(error)}")
        sys.exit(2)
    except KeyboardInterrupt:
        complain(f"interrupted: {interrupted}")
        sys.exit(130)


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """Paths, and what is of the form key=value."""
    flags = [word for word in words if word.startswith("-")]
    if flags:
        raise UserError(f"unknown flag '{flags[0]}': values are set without dashes; see --help")
    return [w for w in words if "=" not in w], [w for w in words if "=" in w]


def read_options(words: list[str], keys: Mapping[str, Key]) -> dict[str, Any]:
    """The value of each key.

    Raises:
      UserError: for what can't be read or makes no sense.
    """
    options = {name: key.default for name, key in keys.items()}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"can't read '{word}': write key=value")
        if name not in keys:
            raise UserError(f"unknown key '{name}': choose one of {', '.join(keys)}")
        options[name] = _value(name, text, keys[name])
    return options


def _value(name: str, text: str, key: Key) -> Any:
    if key.default is None and text == "null":
        return None
    if key.kind is bool:
        if text not in ("true", "false"):
            raise UserError(f"{name} is '{text}': give true or false")
        return text == "true"
    if key.kind in (int, float):
        return _number(name, text, key)
    words = tuple(text.split(",")) if key.kind is tuple else (text,)
    for word in words:
        if not word or (key.choices and word not in key.choices):
            wanted = f"one of {', '.join(key.choices)}" if key.choices else "a name"
            raise UserError(f"{name} is '{text}': give {wanted}")
    return words if key.kind is tuple else text


def _number(name: str, text: str, key: Key) -> int | float:
    whole = key.kind is int
    try:
        value = float(text)  # 1e5 is a whole number, too
        good = math.isfinite(value) and (
            value >= key.least and value == int(value) if whole else value > key.least
        )
    except ValueError:
        value, good = 0.0, False
    if not good:
        least = f"{key.least:g}"
        wanted = f"whole number of at least {least}" if whole else f"number above {least}"
        raise UserError(f"{name} is '{text}': give a {wanted}")
    return int(value) if whole else value
