"""From words of the command line to the configuration of a run, and to where the run lies."""

import copy
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from suites import usage
from suites.assembly import CONF, settle
from suites.errors import UserError
from suites.records import config_hash, run_path
from suites.tasks import registry

_FOLDER = ("-cd", "--config-dir")
# The null part of each axis: it adds nothing to an agent's name. All null is the random baseline.
NULL = {"planner": "none", "world_model": "simulator", "learner": "none"}


@dataclass(frozen=True)
class Composed:
    """A run as its words describe it, with all that is null and has a default settled.

    Attributes:
      choices: The option of each group.
      digest: Hash of the configuration.
      path: The run directory.
    """

    config: Any
    choices: Any
    task: str
    agent: str
    digest: str
    path: Path


def from_command_line() -> list[Composed]:
    """The run that the command line asks for; none if it asks for help and the like.

    The run itself is made outside of Hydra, which would comment on its errors.

    Raises:
      UserError: for words that make no run.
    """
    _register()
    sys.argv[1:] = words = usage.arguments(sys.argv[1:])
    composed: list[tuple[Any, Any]] = []

    @hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
    def command(config: DictConfig) -> None:
        composed.append((config, HydraConfig.get().runtime.choices))

    with _explained(words):
        command()
    return [locate(config, choices) for config, choices in composed]


def from_words(words: list[str], folder: str | None = None) -> Composed:
    """The run that these words, without flags, ask for. To be called inside `composing`.

    Arguments:
      folder: Of the user's own yamls, as `--config-dir` names it.

    Raises:
      UserError: for words that make no run.
    """
    seeds = [word for word in words if re.fullmatch(r"seed=(0|[1-9]\d*)", word)]
    # A composition takes a tenth of a second: the many seeds of a sweep share one.
    shared = tuple(word for word in words if len(seeds) != 1 or word not in seeds)
    composed, choices = _compose(shared, folder)
    config = copy.deepcopy(composed)
    if len(seeds) == 1:
        config.seed = int(seeds[0].removeprefix("seed="))
    return locate(config, choices)


@cache
def _compose(given: tuple[str, ...], folder: str | None) -> tuple[Any, Any]:
    words = usage.arguments(list(given))
    own = [f"hydra.searchpath=['file://{Path(folder).resolve()}']"] if folder else []
    with _explained(words):
        config = hydra.compose("config", [*words, *own], return_hydra_config=True)
    choices = config.hydra.runtime.choices
    with flag_override(config, ["struct", "readonly"], False):
        del config["hydra"]
    return config, choices


@contextmanager
def composing() -> Iterator[None]:
    """Hydra made ready, once for many compositions."""
    _register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def _register() -> None:
    registry.register()
    usage.register(CONF)


@contextmanager
def _explained(words: list[str]) -> Iterator[None]:
    """What Hydra can't compose, in one line."""
    try:
        yield
    except ConfigCompositionException as error:
        raise UserError(usage.explain_composition(error, CONF, words)) from error
    except ValueError as error:  # Hydra's own, for `budget=3`
        raise UserError(f"can't read the command line: {usage.explain(error)}") from error


def own_folder(words: list[str]) -> tuple[str | None, list[str]]:
    """The folder of the user's own yamls that `--config-dir` names, and the other words.

    Raises:
      UserError: where there is no such folder.
    """
    folder, rest, left = None, [], iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if name not in _FOLDER:
            rest.append(word)
            continue
        folder = value if equals else next(left, "")
        if not folder or not Path(folder).is_dir():
            raise UserError(f"{name} {folder or 'without a folder'}: there is no such folder")
    return folder, rest


def locate(config: Any, choices: Any) -> Composed:
    """Settle and check a configuration, and say what names its run.

    Raises:
      UserError: for values that make no sense.
    """
    removed = [group for group in ("task", *NULL) if choices.get(group) is None]
    if removed:
        raise UserError(f"{removed[0]} is part of every run: choose one, {removed[0]}=...")
    if missing := _of_every_run() - config.keys():
        raise UserError(f"{min(missing)} is part of every run: leave out ~{min(missing)}")
    given = {axis: choices[axis] != NULL[axis] for axis in NULL}
    modelled = given["world_model"]
    with _resolved():
        settle(config, given["learner"] or modelled, given["planner"], modelled)
        check(config)
        experiment = None if config.experiment is None else str(config.experiment)
    task = str(config.task.get("name") or choices["task"].replace("/", "-"))
    agent = name_agent(choices, config)
    digest = config_hash(OmegaConf.to_container(config, resolve=False))  # pyright: ignore
    path = run_path(str(config.runs_dir), experiment, task, agent, digest, config.seed)
    return Composed(config, choices, task, agent, digest, path)


@cache
def _of_every_run() -> set[str]:
    """The keys of every configuration."""
    with (CONF / "config.yaml").open() as file:
        return set(yaml.safe_load(file)) - {"defaults", "hydra"}


@contextmanager
def _resolved() -> Iterator[None]:
    """What refers to what is not there, in one line."""
    try:
        yield
    except InterpolationKeyError as error:
        source = str(error).splitlines()[0].split("'")[1]
        raise UserError(
            f"{error.full_key} is that of {source}, which is not there: the chosen"
            f" {source.partition('.')[0]} does not go with it"
        ) from None
    except OmegaConfBaseException as error:
        told = str(error).splitlines()[0]
        raise UserError(f"can't read the value of {error.full_key}: {told}") from None


def check(config: Any) -> None:
    """Refuse values that make no sense, before anything is made.

    Raises:
      UserError: says which.
    """
    refuse_nan(OmegaConf.to_container(config, resolve=True))
    for key in ("video", "force", "checkpoint.replay"):
        value = OmegaConf.select(config, key)
        if not isinstance(value, bool):
            raise UserError(f"{key} is {value!r}: give true or false")
    least_of = {"seed": 0, "evaluation.seed": 0, "evaluation.episodes": 1, "budget.env_steps": 0}
    least_of |= {"evaluation.every": 1, "checkpoint.seconds": 0}
    if config.runs_dir in (None, ""):
        raise UserError(f"runs_dir is {config.runs_dir!r}: give a folder")
    for key in ("threads", "planner.budget"):
        if OmegaConf.select(config, key) is not None:
            least_of[key] = 1
    for key, least in least_of.items():
        value = OmegaConf.select(config, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"{key} is {value!r}: give a whole number of at least {least}")


def refuse_nan(value: Any, key: str = "") -> None:
    """Refuse what is no number.

    Raises:
      UserError: says where.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            refuse_nan(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for part in value:
            refuse_nan(part, key)
    elif isinstance(value, float) and math.isnan(value):
        raise UserError(f"{key} is {value}: give a number")


def storable(value: Any) -> Any:
    """A configuration for JSON, which has no infinite numbers: they become text."""
    if isinstance(value, dict):
        return {name: storable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [storable(part) for part in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def name_agent(choices: Any, config: Any) -> str:
    """The agent's name in the run directory: the preset's, or that of its parts."""
    if choices.get("agent"):
        return choices["agent"].replace("/", "-")
    parts = [choices[axis] for axis, null in NULL.items() if choices[axis] != null]
    method = config.planner.get("optimizer") or config.planner.get("search")
    if method and method not in parts:
        parts.insert(1, str(method))
    return "-".join(parts).replace("/", "-") or "random"
