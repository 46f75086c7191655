"""From a configuration to the parts of a run."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from planners.none import NoPlanner
from suites import usage
from suites.checkpoints import fitting, load_state
from suites.environment import complain
from suites.errors import UserError
from suites.evaluate import Agent
from world_models.observed import Observed

CONF = Path(__file__).resolve().parents[1] / "conf"


def settle(config: Any, learns: bool, plans: bool = False, modelled: bool = False) -> None:
    """Give values to what is null because its default depends on the agent.

    Arguments:
      learns: Whether anything in it learns.
      plans: Whether it has a planner.
      modelled: Whether it has a learned model, which is what the planner searches in.

    Raises:
      UserError: for a search that can't be made in a learned model.
    """

    def default(group: str, name: str, value: float | str) -> None:
        node = config[group]
        if OmegaConf.is_dict(node) and name in node and node[name] is None:
            node[name] = value

    # Here, before `planner.repeat` gets a default, since these searches have no such option.
    search = OmegaConf.select(config, "planner.search")
    if modelled and search in ("iw", "fmc"):
        raise UserError(
            f"planner.search={search} looks at bytes and lives, of which no learned world model"
            " tells: leave out world_model=, or choose planner.search=uct, puct or gumbel"
        )
    if "repeat" in config.get("world_model", {}):  # such a model steps from decision to decision
        default("planner", "repeat", 1)
    learner = str(OmegaConf.select(config, "learner._target_")).rpartition(".")[2]
    if learner == "Distill" and search not in ("iw", "fmc"):  # both are per control step
        default("planner", "discount", config.learner.discount)
    if learner == "NoLearner" and OmegaConf.select(config, "planner.optimizer"):
        default("planner", "discount", 1.0)
    default("budget", "env_steps", 100_000 if learns else 0)
    default("evaluation", "episodes", (3 if plans else 10) if learns else 1)
    # Of Atari games alone. The truth's states have no pixels, so that a learner beside it sees RAM.
    default("task", "observation", "pixels" if learns and (modelled or not plans) else "ram")
    total = OmegaConf.select(config, "budget.env_steps")
    if isinstance(total, int):
        default("evaluation", "every", max(total // 10, 1))


def evaluation_points(config: Any) -> list[int]:
    """After how many control steps of training the agent is evaluated: at the end at least."""
    total = config.budget.env_steps
    return [*range(0, total, config.evaluation.every), total] if total else [0]


def build(part: str, config: DictConfig, **facts: Any) -> Any:
    """One part of the agent, from its yaml and from those facts of the run that it asks for.

    Raises:
      UserError: whatever goes wrong inside, in one line.
    """
    try:
        # In two steps, as Hydra would copy the facts into a configuration.
        make = instantiate(config[part], _partial_=True, _convert_="all")
        asked = inspect.signature(make.func).parameters
        return make(**{name: fact for name, fact in facts.items() if name in asked})
    except Exception as error:
        raise UserError(usage.explain_build(error, part)) from error


def assemble(config: Any, threads: int) -> tuple[Any, Agent]:
    """The task of a configuration, one environment of it for evaluation, and the agent.

    Raises:
      UserError: where they can't be made, or don't fit together.
    """
    task = build("task", config, num_envs=1, threads=threads)
    facts = task.facts
    if not facts.compiled:
        complain(f"{facts.name} has no compiled twin: it runs through dm_control's Python, slowly")
    if config.budget.env_steps:
        prepare_torch(config)
    # The model first: a learner of latents reads its options, and would be blamed for them.
    model = build("world_model", config, spec=facts, task=task, threads=threads)
    learner = build("learner", config, spec=facts)
    # A planner counts in steps of its model, which cost no emulated frames where it is learned.
    spec = replace(facts, control_dt=facts.control_dt * model.stride)
    if model.trains:
        spec = replace(spec, budget_per_step=1)
    planner = build("planner", config, spec=spec)
    if isinstance(planner, NoPlanner) and not model.trains:
        model = Observed()  # who does not look ahead needs no model; but its options were checked
    agent = Agent(planner, model, learner)
    if config.budget.env_steps and not agent.trained:
        raise UserError(
            f"budget.env_steps is {config.budget.env_steps}, but nothing in this agent learns:"
            " leave it at 0"
        )
    check_fit(agent)
    return task, agent


def check_fit(agent: Agent) -> None:
    """Refuse parts that can't work together.

    Raises:
      UserError: says which, and what to choose instead.
    """
    learner, searches = agent.prior, not isinstance(agent.planner, NoPlanner)
    if learner.trains and learner.on_policy and (searches or agent.model.trains):
        raise UserError(
            "this learner learns only from what its own policy did: leave out planner= and"
            " world_model=, or choose another learner"
        )
    if getattr(agent.planner, "needs_derivatives", False) and agent.model.trains:
        raise UserError(
            "planner.optimizer=ilqg needs derivatives, which a learned model does not give: choose"
            " another planner.optimizer"
        )
    if getattr(learner, "imitates", False):
        if not searches or agent.model.trains:
            raise UserError(
                "this learner learns from what a planner decides on the truth: choose planner=mpc"
                " or mcts, and leave out world_model="
            )
        theirs = getattr(agent.planner, "discount", None)
        if learner.learns_value and theirs not in (None, learner.discount):
            raise UserError(
                f"planner.discount is {theirs} and learner.discount {learner.discount}, so that the"
                f" planner would misread the learner's values: give planner.discount"
                f"={learner.discount}"
            )
    finds_policy = getattr(agent.planner, "finds_policy", False)
    if getattr(learner, "needs_policy", False) and not finds_policy:
        raise UserError(
            "this learner learns from the policies that a tree search finds: choose planner=mcts"
        )
    latent = getattr(agent.model, "latent", False)
    if learner.trains and getattr(learner, "latent", False) != latent:
        raise UserError(
            "this learner learns from observations, and this world model has latents: choose"
            " another one of the two"
            if latent
            else "this learner learns from latents, and this world model has none: choose another"
            " one of the two"
        )


def stored(config: Any, path: Path, threads: int) -> tuple[Any, Agent]:
    """The task and the agent of a run that is done, as its last evaluation played it.

    Raises:
      UserError: where they can't be made, or what was learned can't be read.
    """
    task, agent = assemble(config, threads)
    if config.budget.env_steps:
        file = path / "checkpoint" / "agent.pt"
        state = load_state(file)
        with fitting(file):
            agent.load(state)
    return task, agent.greedy


def prepare_torch(config: Any) -> None:
    """See to the thread of torch, its memory and its device.

    One thread, whatever `threads` says: with more, torch rounds the sums of some gradients
    otherwise, and a run would depend on their number.

    Raises:
      UserError: if torch is not installed, or does not have the device.
    """
    try:
        import torch
    except ImportError:
        raise UserError(
            "learning needs torch, which is not installed: pip install 'plan-or-learn[learn]'"
        ) from None
    from learners.allocator import keep_pages

    torch.set_num_threads(1)
    keep_pages()
    try:
        torch.zeros(1, device=str(config.device))
    except (RuntimeError, AssertionError) as error:
        told = str(error).splitlines()[0]
        raise UserError(f"device={config.device} can't be used: {told}; choose cpu") from None
