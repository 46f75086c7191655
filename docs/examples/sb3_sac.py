"""Train Stable-Baselines3's SAC on a task of this suite, through the adapter `SB3`.

    pip install -e '.[sb3]'
    python docs/examples/sb3_sac.py cartpole-swingup --steps 30000

Prints the score of the greedy policy before and after.
"""

# pyright: reportMissingImports=false
import argparse
import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

import suites.tasks.registration  # noqa: F401  (Gymnasium learns the names)
from suites.tasks.control import ControlTask


class SB3(VecEnv):
    """A task with the face of Stable-Baselines3's vector environments.

    That is older than Gymnasium's: one `done`, and a dictionary per environment. Single precision,
    and actions in [-1, 1], as its algorithms like them.
    """

    def __init__(self, name: str, num_envs: int, threads: int = 1):
        env = gymnasium.make_vec(f"plan-or-learn/{name}-v0", num_envs=num_envs, threads=threads)
        assert isinstance(env, ControlTask)
        self.env = env
        seen, acted = env.facts.observation_space, env.facts.action_space
        self.middle, self.half_range = (acted.high + acted.low) / 2, (acted.high - acted.low) / 2
        assert np.isfinite(self.half_range).all(), f"{name} has actions without bounds"
        self.actions = np.zeros((num_envs, *acted.shape))
        super().__init__(
            num_envs,
            observation_space=gymnasium.spaces.Box(-np.inf, np.inf, seen.shape, np.float32),
            action_space=gymnasium.spaces.Box(-1.0, 1.0, acted.shape, np.float32),
        )

    def reset(self) -> np.ndarray:
        seeds = [seed for seed in self._seeds if seed is not None]
        observations, _ = self.env.reset(seed=seeds or None)
        self._reset_seeds()
        return observations.astype(np.float32)

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = self.middle + self.half_range * actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, infos = self.env.step(self.actions)
        done = terminated | truncated
        # Tells SAC to bootstrap through a time limit, and not through a termination.
        each = [{"TimeLimit.truncated": bool(t)} for t in truncated]
        for i in np.flatnonzero(done):
            each[i]["terminal_observation"] = infos["final_obs"][i].astype(np.float32)
        return observations.astype(np.float32), rewards.astype(np.float32), done, each

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"{attr_name} can't be set: the environments are stepped as one")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        raise AttributeError(f"no {method_name} of one environment: they are stepped as one")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


def score(model: SAC, task: str, episodes: int) -> float:
    """Mean return of the greedy policy, over episodes with seeds of their own."""
    env = VecMonitor(SB3(task, num_envs=episodes))
    env.seed(10_000)
    mean, _ = evaluate_policy(model, env, n_eval_episodes=episodes)
    return float(np.mean(mean))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and print the score before and after."""
    parser = argparse.ArgumentParser(description="Train SAC on a task of this suite.")
    parser.add_argument("task", nargs="?", default="cartpole-swingup")
    parser.add_argument("--steps", type=int, default=30_000, help="control steps of training")
    parser.add_argument("--envs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)

    torch.set_num_threads(1)  # networks this small gain nothing from more
    env = VecMonitor(SB3(given.task, given.envs))
    # As many updates as steps, as SAC's authors do; pure exploration for the first 1000 steps.
    model = SAC("MlpPolicy", env, learning_starts=1000, gradient_steps=given.envs, seed=given.seed)
    print(f"{given.task} before training: {score(model, given.task, 5):.0f} of 1000")
    begin = time.perf_counter()
    model.learn(given.steps)
    spent = time.perf_counter() - begin
    print(f"after {given.steps} steps and {spent:.0f} s: {score(model, given.task, 5):.0f} of 1000")


if __name__ == "__main__":
    main()
