"""What the command line says about itself: `--help`, and one line for each error."""

import difflib
import re
import textwrap
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf

from suites.errors import UserError
from suites.tasks import registry
from suites.tasks.atari_names import GAMES, OPTIONS
from suites.tasks.control_names import DOMAINS

_GROUPS = ("task", "planner", "world_model", "learner", "agent")
# Hydra's, without --multirun, which `suites.sweeps` sees to.
_FLAGS = (
    *("-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "--resolve", "-p", "--package"),
    *("-r", "--run", "-sc", "--shell-completion", "-cp", "--config-path", "-cn", "--config-name"),
    *("-cd", "--config-dir", "-i", "--info"),
)
_TEMPLATE = """\
Run an agent on a task, evaluate it, and record the score beside everything that it cost.

An agent has three parts: a planner (decides by search), a world model (what the planner searches
in; `simulator` is the truth), and a learner (a policy and a value). Each can be the null part.

Examples
  python -m suites.run                                      plan on cheetah, the default
  python -m suites.run task=walker-run seed=1               another task, another seed
  python -m suites.run task=humanoid planner.budget=1000    fewer simulated steps per decision
  python -m suites.run planner.optimizer=cem planner.horizon=0.8
  python -m suites.run agent=random evaluation.episodes=10  the baseline, mean of ten episodes
  python -m suites.run agent=random task=breakout           an Atari game
  python -m suites.run planner=mcts task=cheetah            a tree of held actions
  python -m suites.run learner=sac task=cheetah             learn a policy; no planner unless named
  python -m suites.run learner=rainbow task=pong budget.env_steps=1000000
  python -m suites.run agent=pets task=cartpole-swingup     learn a model, and plan in it
  python -m suites.run task=reacher video=true              and a video of it
  python -m suites.run planner.latency=0.05                 the plan comes 50 ms late, as on a robot
  python -m suites.run --config-dir my_conf task=my_task    your own task: my_conf/task/my_task.yaml

Sweeps: lists of values make a run of each combination, in processes of their own
  python -m suites.run -m planner=mpc,mcts task=cheetah,walker seed=0,1,2
  python -m suites.run -m +sweep=planners seed=0,1          a named sweep: conf/sweep/planners.yaml
  python -m suites.run -m +sweep=planners --plan-cost       what it will cost, before it is begun
  python -m suites.run -m task=cheetah,walker sweep.workers=2 sweep.timeout=3600
  python -m suites.run -m +sweep=planners launcher=ray launcher.address=auto

A run leaves {layout}
with config.yaml, manifest.json, evaluations.jsonl, metrics.jsonl and summary.json. The same command
continues a run that was stopped, and skips one that is done. `python -m suites.evaluate <run>`
scores the agent that a run left once more.

Groups (group=option)
{groups}

Tasks of control (a bare domain means the one that comes first)
{tasks}

Atari games
{games}

Named sweeps (-m +sweep=<name>)
  {sweeps}

Keys of a sweep (with -m)
{sweep}

Keys of launcher=ray (launcher.<key>=value)
{ray}

Keys of launcher=slurm (launcher.<key>=value)
{slurm}

Keys of the run, with their defaults
{run}

Keys of planner=mpc (planner.<key>=value)
{planner}

Keys of planner=mcts (planner.<key>=value)
{tree}

Keys of planner=none (planner.<key>=value)
{policy}

Keys of learner=sac (learner.<key>=value; the others: conf/learner/)
{learner}

Keys of world_model=simulator (world_model.<key>=value)
{world_model}

Keys of an Atari game (task.<key>=value)
{options}

PLAN_OR_LEARN_DEBUG=1 shows the traceback of an error; `--cfg job` the configuration that
a command composes."""


def register(conf: Path) -> None:
    """Tell Hydra of our `--help`."""
    node = {"app_name": "suites.run", "header": "", "footer": "", "template": help_text(conf)}
    ConfigStore.instance().store(group="hydra/help", name="suite", node=node, provider="the suite")


def help_text(conf: Path) -> str:
    """The help, with what there is to choose from."""
    groups = {
        group: sorted(path.stem for path in (conf / group).glob("*.yaml")) for group in _GROUPS[1:]
    }
    tasks = [[f"{domain}-{task}" for task in found] for domain, found in DOMAINS.items()]
    own = sorted(path.stem for path in (conf / "task").glob("*.yaml"))
    run = (conf / "config.yaml").read_text()
    sweep = (conf / "sweep.yaml").read_text()
    return _TEMPLATE.format(
        layout="<runs_dir>/[<experiment>/]<task>/<agent>/<config hash>/seed<k>/",
        groups="\n".join(f"  {name:<12} {', '.join(found)}" for name, found in groups.items()),
        tasks="\n".join(_wrap(", ".join(found)) for found in [*tasks, registry.TOYS, own]),
        games=_wrap(", ".join(GAMES)),
        options=_keys("\n".join(_option(name, *said) for name, said in OPTIONS.items())),
        sweeps=", ".join(sorted(path.stem for path in (conf / "sweep").glob("*.yaml"))),
        sweep=_keys(sweep[sweep.index("\nsweep:") :]) + "\n  launcher: local       # ray, slurm",
        ray=_keys((conf / "launcher" / "ray.yaml").read_text()),
        slurm=_keys((conf / "launcher" / "slurm.yaml").read_text()),
        run=_keys(run[run.index("seed:") : run.index("hydra:")]),
        planner=_keys((conf / "planner" / "mpc.yaml").read_text()),
        tree=_keys((conf / "planner" / "mcts.yaml").read_text()),
        policy=_keys((conf / "planner" / "none.yaml").read_text()),
        learner=_keys((conf / "learner" / "sac.yaml").read_text()),
        world_model=_keys((conf / "world_model" / "simulator.yaml").read_text()),
    )


def _wrap(names: str) -> str:
    return textwrap.fill(
        names, 98, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )


def _keys(text: str) -> str:
    """The keys of a yaml with their comments; `$` means something to Hydra."""
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "_target_"))]
    return textwrap.indent("\n".join(lines).replace("${", "<").replace("}", ">"), "  ")


def _option(name: str, default: object, meaning: str) -> str:
    value = "null" if default is None else str(default).lower()
    return f"{f'{name}: {value}':<26} # {meaning}"


def arguments(words: list[str]) -> list[str]:
    """The command line's words, flags before overrides, as Hydra needs them.

    Raises:
      UserError: for a flag that there is not, and for a setting of sweeps.
    """
    if {"-h", "--help"} & set(words):
        return ["--help"]
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("-") and flag not in _FLAGS:
            raise UserError(
                f"unknown flag '{flag}': values are set without dashes, as in seed=1; --help tells"
                " more"
            )
        if flag.lstrip("+").partition(".")[0] in ("sweep", "launcher"):
            raise UserError(f"'{word}' is for a sweep: add -m; docs/sweeps.md tells more")
        if flag in _GROUPS and word.partition("=")[2] == "null":
            raise UserError(f"{flag} needs a choice, as in {flag}=<name>; --help lists all")
    learns = any(word.startswith("learner=") and word != "learner=none" for word in words)
    if learns and not any(word.startswith(("planner=", "agent=")) for word in words):
        words = [*words, "planner=none"]  # a learner alone acts by its policy
    return sorted(words, key=lambda word: "=" in word and not word.startswith("-"))


def explain(error: BaseException) -> str:
    """One line for an error."""
    if isinstance(error, OverrideParseException):
        return f"can't read '{error.override}': write key=value, as in seed=1"
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("See https://hydra"))


def explain_composition(error: ConfigCompositionException, conf: Path, words: list[str]) -> str:
    """One line for what Hydra finds wrong with the words of a command line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.partition("/")
        if group == "task":
            return registry.unknown(name, tuple(error.options))
        return f"unknown {group} '{name}': choose one of {', '.join(error.options)}"
    unknown = re.search(r"Could not override '([^']+)'", str(error))
    if unknown:
        if others := options_with(unknown[1], conf):
            return f"'{unknown[1]}' is a key of {others}, which this command does not choose"
        keys = [key for key in defaults(conf, words) if not key.endswith("_target_")]
        close = difflib.get_close_matches(unknown[1], keys, n=3)
        hint = f"; nearest: {', '.join(close)}" if close else ""
        return f"unknown key '{unknown[1]}'{hint}; `python -m suites.run --help` lists all"
    if ambiguous := re.search(r"Ambiguous value for argument '([^']+)'", str(error)):
        return f"can't read '{ambiguous[1]}': give one value, as in seed=1, or -m for a sweep"
    return explain(error)


def options_with(key: str, conf: Path) -> str:
    """The options of a dotted key's group that know it, `planner=mpc`; empty if there are none."""
    group, _, rest = key.partition(".")
    paths = sorted((conf / group).glob("*.yaml")) if rest else []
    return " or ".join(f"{group}={path.stem}" for path in paths if _knows(path, rest.split(".")))


def _knows(path: Path, keys: list[str]) -> bool:
    """Whether a yaml has a key, given by its parts; its value may be that of another yaml."""
    node: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    for key in keys:
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def defaults(conf: Path, words: list[str]) -> dict[str, Any]:
    """Each dotted key with its default, given the options of groups that the words name."""
    words = [word for word in words if word.partition("=")[0] in _GROUPS]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        try:
            config = compose("config", words)
        except HydraException:
            config = compose("config")
    found: dict[str, Any] = {}

    def walk(node: Any, prefix: str) -> None:
        for key, value in node.items():
            found[prefix + str(key)] = value
            if OmegaConf.is_dict(value):
                walk(value, f"{prefix}{key}.")

    walk(config, "")
    return found


def explain_build(error: BaseException, part: str) -> str:
    """One line for why a part of the agent could not be made."""
    said = str(error)
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        where = said.partition(", set env var")[0]
        error = error.__cause__
        while error.__cause__ is not None:
            error = error.__cause__
        return f"{part}: {where[:1].lower()}{where[1:]}: {explain(error)}"
    if isinstance(error, ValueError | UserError):  # written for people
        return explain(error)
    if unknown := re.search(r"unexpected keyword argument '(\w+)'", said):
        return f"{part}.{unknown[1]}: there is no such option; `+` adds keys that nothing may read"
    if missing := re.search(r"missing \d+ required .*arguments?: (.+)", said):
        told = "add it; a stored run was made by another version, so make it again"
        return f"{part}: its config has no {missing[1]}: {told}"
    name = type(error).__name__
    return f"{part}: {name}: {explain(error)} (PLAN_OR_LEARN_DEBUG=1 shows where)"
