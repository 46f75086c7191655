"""What diagnosis says of a learned model, against what it must say."""

import json

import numpy as np
import pytest
from test_model_training import AGENTS
from test_run import only

from planners.noise import Noise
from suites import diagnose
from suites.diagnose import KEYS, Played, prediction
from suites.errors import UserError
from suites.options import read_options
from suites.tasks import registry
from world_models.held import Held
from world_models.simulator import Simulator


class Biased:
    """Its observations grow by the action and a bias more; pays the action, and a bonus more."""

    stride = 2

    def __init__(self, bias=0.0, bonus=0.0, latent=False):
        self.bias, self.bonus, self.latent = bias, bonus, latent

    def begin(self, observations, task):
        return np.concatenate([observations, np.zeros_like(observations)], axis=-1)

    def features(self, state):
        return state[..., :2]

    def spread(self, state):
        return state[..., 2:]

    def step(self, state, action):
        ahead = state + np.concatenate([action + self.bias, np.ones_like(action)], axis=-1)
        return ahead, action.sum(axis=-1) + self.bonus, np.ones(len(state))


def walk(length=60, seed=0):
    action = np.random.default_rng(seed).normal(size=(length, 2))
    observation = np.concatenate([np.zeros((1, 2)), np.cumsum(action, axis=0)])
    return Played(observation, action, action.sum(axis=1))


def test_errors_of_prediction():
    played = [walk(seed=0), walk(seed=1)]
    exact = prediction(Biased(), played, 10, 20)
    np.testing.assert_allclose(exact["feature_error"], 0, atol=1e-12)
    np.testing.assert_allclose(exact["return_error"], 0, atol=1e-12)
    told = prediction(Biased(0.3, 0.1), played, 10, 20)
    deviation = np.concatenate([p.observation for p in played]).std(axis=0)
    steps = np.arange(1, 11)
    scale = np.sqrt((1 / deviation**2).mean())
    np.testing.assert_allclose(told["feature_error"], 0.3 * steps * scale)
    np.testing.assert_allclose(told["uncertainty"], steps * scale)
    np.testing.assert_allclose(told["return_error"], 0.1 * steps)
    assert told["starts"] == 40


def test_latents_share_a_deviation():
    played = [walk()]
    played[0].observation[:, 1] = 3.0  # hardly ever moves
    told = prediction(Biased(0.3, latent=True), played, 4, 20)
    deviation = np.sqrt(played[0].observation.var(axis=0).mean())
    begun = np.unique(np.linspace(0, 56, 20).astype(int))
    expected = []
    for h in range(1, 5):
        moved = [played[0].action[t : t + h, 1].sum() for t in begun]
        squares = ((0.3 * h) ** 2 + (0.3 * h + np.array(moved)) ** 2) / 2
        expected.append(np.sqrt(squares.mean()) / deviation)
    np.testing.assert_allclose(told["feature_error"], expected)


def test_the_truth_at_a_models_pace():
    task = registry.make("walker-walk", num_envs=2)
    seen, _ = task.reset(seed=0)
    model = Held(Simulator(task), Biased())
    assert model.stride == 2
    state = model.begin(seen, task)
    assert np.array_equal(model.features(state), seen[:, :2])
    plans = 2 * Noise(0, [0, 1], 0).uniform(1, 3, 6) - 1
    rewards, continuation, last = model.rollout(state, plans)
    assert model.sim_steps == 2 * 3 * 2
    for h in range(3):
        paid = 0
        for _ in range(2):
            seen, reward, *_ = task.step(plans[:, 0, h])
            paid += reward
        np.testing.assert_allclose(rewards[:, 0, h], paid, rtol=1e-12)
    assert (continuation == 1).all()
    np.testing.assert_allclose(model.features(last)[:, 0], seen[:, :2], rtol=1e-9)
    stepped, reward, _ = model.step(state, plans[:, 0, 0])
    np.testing.assert_allclose(reward, rewards[:, 0, 0])
    *_, way = model.trace(state, plans, 1)
    np.testing.assert_allclose(way[:, 0, 1], model.features(stepped))


def test_a_run_is_diagnosed(command, tmp_path, call):
    assert command(*AGENTS["pets"])[0] == 0
    path = only(tmp_path)
    code, out, _ = call(diagnose.main, str(path), "horizon=5", "starts=10")
    assert code == 0
    told = json.loads((path / "diagnose" / "diagnose.json").read_text())
    assert len(told["prediction"]["feature_error"]) == 5
    assert told["prediction"]["starts"] == 10
    worlds = [rung["world"] for rung in told["ladder"]]
    assert worlds[0] == "learned model"
    assert worlds[-1] == "truth"
    assert "the model's errors cost" in out
    assert (path / "diagnose" / "prediction.svg").read_bytes().startswith(b"<?xml")


def test_a_task_without_other_physics_has_a_shorter_ladder(command, tmp_path, call):
    small = "budget.env_steps=120", "evaluation.episodes=1", "world_model.width=16"
    assert command("agent=muzero", "task=toy-chain", "world_model.warmup=100", *small)[0] == 0
    path = only(tmp_path)
    code, _, err = call(diagnose.main, str(path), "horizon=1", "starts=2")
    assert code == 0
    assert "toy-chain has no physics that could be wrong" in err
    told = json.loads((path / "diagnose" / "diagnose.json").read_text())
    assert [rung["world"] for rung in told["ladder"]] == ["learned model", "truth"]


def test_an_agent_that_does_not_plan_has_no_ladder(command, tmp_path, call):
    assert command(*AGENTS["mbpo"])[0] == 0
    path = str(only(tmp_path))
    code, _, err = call(diagnose.main, path, "horizon=5", "starts=10")
    assert code == 2
    assert "give ladder=false" in err
    assert call(diagnose.main, path, "horizon=5", "starts=10", "ladder=false")[0] == 0


def test_a_run_without_a_learned_model(command, tmp_path, call):
    assert command("agent=random", "task=pendulum")[0] == 0
    code, _, err = call(diagnose.main, str(only(tmp_path)))
    assert code == 2
    assert "has learned no world model" in err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("horizont=3", "unknown key 'horizont'"),
        ("horizon=0", "horizon is '0': give a whole number of at least 1"),
        ("mass=-1", "mass is '-1': give a number above 0"),
        ("ladder=no", "ladder is 'no': give true or false"),
    ],
)
def test_bad_options(word, said):
    with pytest.raises(UserError, match=said):
        read_options([word], KEYS)
