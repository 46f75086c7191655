"""Options of MPC: each matters, and those that make no sense are refused."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from omegaconf import OmegaConf
from worlds import (
    NOTHING,
    World,
    actions,
    barren,
    make,
    make_spec,
    play,
    rugged,
)

from planners.mpc import make_planner
from planners.noise import Noise
from suites.tasks.control import suite_task
from world_models.simulator import Simulator

CONF = Path(__file__).parents[1] / "conf"
DISCRETE = ["explore", "hold"]  # options of plans of discrete actions: tests/test_categorical.py


# What each option of the planner needs to matter, beside a value that is not the default.
CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "optimizer": ("cem", {}),
    "budget": (200, {}),
    "horizon": (0.7, {}),
    "single": (0.8, {"actuators": 1}),
    "min_steps": (8, {}),
    "max_steps": (3, {}),
    "reach": (1, {"step": barren}),
    "knots": (2, {}),
    "spline": ("cubic", {"knots": 4}),
    "discount": (0.6, {}),
    "latency": (0.2, {}),
    "sigma": (0.4, {}),
    "beta": (0.5, {}),
    "iterations": (2, {}),
    "elites": (0.5, {}),
    "momentum": (0.4, {}),
    "keep": (1, {}),
    "temperature": (1.0, {"optimizer": "mppi"}),
    "floor": (0.9, {"optimizer": "elite_mppi"}),
    "guides": (10, {}),
    "alphas": (2, {"optimizer": "ilqg"}),
}


def options_of(file):
    options = OmegaConf.to_container(OmegaConf.load(CONF / file))
    assert isinstance(options, dict)
    return {str(key): value for key, value in options.items() if key != "_target_"}


def plan_with(options):
    """Three plans of the optimizer: on the pole of dm_control for ilqg, else on a toy."""
    options = {"budget": 300, "min_steps": 2} | options
    step, actuators = options.pop("step", rugged), options.pop("actuators", 3)
    if options["optimizer"] != "ilqg":
        planner = make_planner(make_spec(actuators), **options)
        return actions(play(planner, World(step), np.zeros((2, actuators)), 3))
    task = suite_task("cartpole-swingup")
    observation, _ = task.reset(seed=1)
    model = Simulator(task)
    planner = make_planner(task.facts, **options | {"budget": 6000, "single": None})
    state = model.begin(observation, task)
    plan, _ = planner.plan(model, NOTHING, state, planner.init(1), Noise(0, [0], 0))
    return plan.actions


@pytest.mark.parametrize("key", sorted(options_of("planner/mpc.yaml").keys() - DISCRETE))
def test_every_option_of_the_planner_matters(key):
    defaults = options_of("planner/mpc.yaml")
    value, needs = CHANGES[key]  # a new option is to be added there
    defaults = {name: x for name, x in defaults.items() if name not in ("budget", "min_steps")}
    base = defaults | needs
    before, after = plan_with(base), plan_with(base | {key: value})
    np.testing.assert_array_equal(before, plan_with(base))
    assert before.shape != after.shape or not np.array_equal(before, after)


def test_what_is_not_given_has_its_default():
    for needs, default in [({"step": barren}, {"reach": 2}), ({"knots": 4}, {"spline": "linear"})]:
        given = {"optimizer": "icem", "horizon": 0.5} | needs
        nothing = dict.fromkeys(default)
        np.testing.assert_array_equal(plan_with(given | nothing), plan_with(given | default))


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (
            "predictive_sampling",
            {"elites", "momentum", "temperature", "floor", "alphas", *DISCRETE},
        ),
        ("cem", {"temperature", "floor", "alphas", *DISCRETE}),
        ("icem", {"temperature", "floor", "alphas", *DISCRETE}),
        ("mppi", {"elites", "momentum", "floor", "alphas", *DISCRETE}),
        ("elite_mppi", {"momentum", "alphas", *DISCRETE}),
    ],
)
def test_options_that_an_optimizer_lacks_are_refused(optimizer, options):
    for key, value in options_of("planner/mpc.yaml").items():
        if value is not None or key in ("reach", "knots", "spline"):
            continue
        if key not in options:
            make(optimizer, 300, 0.5, 3, 1.0, **{key: 1})
            continue
        message = rf"planner\.{key}: optimizer {optimizer} has no such option; it has sigma, beta"
        with pytest.raises(ValueError, match=message):
            make(optimizer, 300, 0.5, 3, 1.0, **{key: 1})
        make(optimizer, 300, 0.5, 3, 1.0, **{key: None})


@pytest.mark.parametrize("key", options_of("world_model/simulator.yaml")["physics"])
def test_every_option_of_the_planning_physics_matters(key):
    task = suite_task("walker-walk")
    observation, _ = task.reset(seed=1)
    for _ in range(20):  # down to the ground: the solver has work
        observation = task.step(np.zeros((1, 6)))[0]
    planner = make_planner(task.facts, "mppi", budget=200, horizon=0.25)

    def plan(physics):
        model = Simulator(task, physics=physics)
        state = model.begin(observation, task)
        return planner.plan(model, NOTHING, state, planner.init(1), Noise(0, [0], 0))[0].actions

    true = plan(None)
    default = options_of("world_model/simulator.yaml")["physics"][key]
    np.testing.assert_array_equal(true, plan({key: default}))
    assert not np.array_equal(true, plan({key: 1 if default is None else 2}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, r"planner\.horizon is 0: give a positive number of seconds"),
        ({"single": -1}, r"planner\.single is -1: give a positive"),
        ({"min_steps": 0}, r"planner\.min_steps is 0"),
        ({"max_steps": 0}, r"planner\.max_steps is 0"),
        ({"min_steps": 9, "max_steps": 8}, r"planner\.max_steps is 8"),
        ({"latency": -0.1}, r"planner\.latency is -0\.1: give seconds"),
        ({"budget": 39}, r"planner\.budget is 39: 4 iterations .* over 5 control steps need 40"),
        (
            {"optimizer": "newton"},
            r"planner\.optimizer is 'newton': choose one of cem, elite_mppi, icem, ilqg",
        ),
        ({"spline": "quintic"}, r"planner\.spline is 'quintic': choose one of zero, linear, cubic"),
        ({"knots": 0}, r"planner\.knots is 0: give a whole number of at least 1"),
        ({"reach": 0}, r"planner\.reach is 0: give a whole number of at least 1"),
        ({"iterations": 0}, r"planner\.iterations is 0: give a whole number from 1 to 10000"),
        ({"sigma": 0.0}, r"planner\.sigma is 0\.0: give a number from"),
        ({"elites": 1.5}, r"planner\.elites is 1\.5: give a number from 0\.0 to 1\.0"),
        ({"keep": -1}, r"planner\.keep is -1: give a whole number from 0 to"),
        ({"beta": -1.0}, r"planner\.beta is -1\.0: give a number from"),
        ({"discount": 1.5}, r"planner\.discount is 1\.5: give a number above 0, up to 1"),
        ({"colour": 1}, r"planner\.colour: optimizer icem has no such option"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        make(**{"optimizer": "icem"} | options)
    assert "\n" not in str(error.value)
    make("icem", budget=40)  # is enough


@pytest.mark.parametrize("optimizer", ["mppi", "predictive_sampling", "ilqg"])
def test_tasks_without_continuous_actions_are_refused(optimizer):
    spec = make_spec()
    spec.action_space = gymnasium.spaces.Discrete(3)
    message = rf"planner mpc with optimizer {optimizer} needs continuous actions, and task test"
    with pytest.raises(ValueError, match=message):
        make_planner(spec, optimizer, budget=300, horizon=0.5)
