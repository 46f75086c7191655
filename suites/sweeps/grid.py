"""From the words of a command, and the yaml that a named sweep is, to the words of each run.

A named sweep is `conf/sweep/<name>.yaml`:

    grid:                     # key: value, list, or text as on the command line (`range(3)`)
      task: [cheetah, walker]
      seed: range(3)
    variants:                 # optional; each is made on the whole grid, with label=<its name>
      small: [planner=mpc, planner.budget=500]
      large:
        overrides: [planner=mpc, planner.budget=8000]
        grid: {task: cheetah} # replaces dimensions of the grid

What the command line says replaces what the yaml says of the same key; `label=` there chooses
among the variants.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from suites import usage
from suites.errors import UserError

Dimensions = dict[str, list[str]]  # a key's words, `seed=0` and `seed=1`


def expand(words: list[str], folders: list[Path]) -> list[list[str]]:
    """The words of each run.

    Arguments:
      words: Of the command line, overrides alone, `+sweep=<name>` among them or not.
      folders: Where `sweep/<name>.yaml` may lie.

    Raises:
      UserError: for a word or a yaml that can't be read, and for an unknown sweep or variant.
    """
    names = [word.partition("=")[2] for word in words if word.startswith("+sweep=")]
    own = dimensions(word for word in words if not word.startswith("+sweep="))
    if not names:
        return _product(own)
    if len(names) > 1 or not names[0] or "," in names[0]:
        raise UserError("+sweep= takes one name; --help lists the sweeps")
    return [run for one in _variants(names[0], folders, own) for run in _product(one)]


def dimensions(words: Any) -> Dimensions:
    """What words such as `seed=0,1` say, by key.

    Raises:
      UserError: for words that can't be read, or that name a key twice.
    """
    found: Dimensions = {}
    for word in words:
        try:
            (override,) = OverridesParser.create().parse_overrides([word])
            key, values = override.get_key_element(), [word]
            if override.is_sweep_override():
                values = [f"{key}={value}" for value in override.sweep_string_iterator()]
        except HydraException as error:
            raise UserError(usage.explain(error)) from error
        key = key.lstrip("+")
        if key in found:
            raise UserError(f"{key} is given twice: write its values in a row, as in seed=0,1")
        found[key] = values
    return found


def _product(found: Dimensions) -> list[list[str]]:
    return [list(words) for words in product(*found.values())]


def _variants(name: str, folders: list[Path], own: Dimensions) -> list[Dimensions]:
    """The dimensions of each variant of a named sweep."""
    paths = {path.stem: path for f in folders for path in sorted((f / "sweep").glob("*.yaml"))}
    if name not in paths:
        raise UserError(f"unknown sweep '{name}': choose one of {', '.join(paths)}")
    path = paths[name]
    try:
        content = _mapping(yaml.safe_load(path.read_text()), path, "grid", "variants")
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't read {path}: {' '.join(str(error).split())}") from error
    grid = _grid(content.get("grid"), path)
    variants = content.get("variants")
    if variants is None:
        return [{**grid, **own}]
    variants = _mapping(variants, path)
    chosen = [word.partition("=")[2] for word in own.pop("label", [])] or list(variants)
    if unknown := [label for label in chosen if label not in variants]:
        raise UserError(
            f"{path} has no variant '{unknown[0]}': choose label= among {', '.join(variants)}"
        )
    found = []
    for label in chosen:
        given = variants[label]
        if not isinstance(given, dict):
            given = {"overrides": given}
        given = _mapping(given, path, "overrides", "grid")
        overrides = given.get("overrides") or []
        if not isinstance(overrides, list) or not all(isinstance(w, str) for w in overrides):
            raise UserError(f"{path}: {label}: give a list of words such as planner=mpc")
        found.append(
            {
                **grid,
                **_grid(given.get("grid"), path),
                **dimensions(overrides),
                **own,
                **dimensions([f"label={label}"]),
            }
        )
    return found


def _mapping(content: Any, path: Path, *keys: str) -> dict[str, Any]:
    """A mapping of a yaml, with these keys alone if any are named."""
    if not isinstance(content, dict):
        raise UserError(f"{path}: {content!r} is no mapping; docs/sweeps.md shows one")
    for key in content:
        if keys and key not in keys:
            raise UserError(f"{path}: unknown key '{key}': choose among {', '.join(keys)}")
    return {str(key): value for key, value in content.items()}


def _grid(content: Any, path: Path) -> Dimensions:
    found: Dimensions = {}
    for key, values in _mapping(content or {}, path).items():
        texts = [_text(value) for value in (values if isinstance(values, list) else [values])]
        for text in texts:
            for name, words in dimensions([f"{key}={text}"]).items():
                found.setdefault(name, []).extend(words)
    return found


def _text(value: Any) -> str:
    """A value as on the command line."""
    return value if isinstance(value, str) else json.dumps(value)
