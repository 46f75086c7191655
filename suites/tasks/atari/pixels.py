"""A game for learners: what is on the screen, from ALE's own vector environment in C++."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from suites.errors import UserError
from suites.tasks.atari import settings as make_settings
from suites.tasks.atari.emulator import import_ale
from suites.tasks.atari.task import make_facts


class PixelTask(VectorEnv):
    """`num_envs` environments of a game, seen as learners usually do.

    Observations are uint8 [B, 4, 84, 84]: the last four decisions, in grey, each the brighter of
    its last two frames. Rewards are the game's own points, float64 [B]; neither they are clipped,
    nor does an episode end with a life. Autoreset is Gymnasium's `SAME_STEP`.

    The protocol is that of `AtariTask`, but for the seeds: sticky actions are ALE's own, and the
    same seed does not give the same episode as there.

    Arguments:
      name: Of the game.
      threads: That step the environments; 0: as many as ALE finds best.
      options: `sticky`, `frame_skip`, `full_action_space`, `noop_max` and `max_frames`.

    Raises:
      UserError: if there is no such game, for bad options, and where ale-py is not installed.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, name: str, num_envs: int = 1, threads: int = 0, **options: Any):
        for key in ("mode", "difficulty", "screen", "restore"):
            if options.get(key):
                raise UserError(f"{key}: ALE's vector environment has no such option")
        settings = make_settings(name, **options)
        import_ale()
        from ale_py.vector_env import AtariVectorEnv

        self.num_envs = num_envs
        self._envs = AtariVectorEnv(
            name,
            num_envs,
            num_threads=threads,
            max_num_frames_per_episode=settings.max_frames,
            repeat_action_probability=settings.sticky,
            full_action_space=settings.full_action_space,
            autoreset_mode=AutoresetMode.SAME_STEP,
            frameskip=settings.frame_skip,
            noop_max=settings.noop_max,
            reward_clipping=False,
            use_fire_reset=False,
        )
        self.single_observation_space = self._envs.single_observation_space
        self.single_action_space = self._envs.single_action_space
        self.observation_space = self._envs.observation_space
        self.action_space = self._envs.action_space
        actions = len(self._envs.ale.get_action_set())
        self.facts = make_facts(settings, self.single_observation_space, actions)

    def reset(
        self, *, seed: int | np.ndarray | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict]:
        """Begin an episode in every environment: environment i with seed `seed + i`."""
        return self._envs.reset(seed=seed, options=options)

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One decision of each environment with `actions` [B]."""
        actions = np.asarray(actions).astype(np.int64)
        if not self.action_space.contains(actions):  # ALE would wait for ever
            raise ValueError(f"actions are {actions}, expected {self.action_space}")
        observations, rewards, terminated, truncated, infos = self._envs.step(actions)
        if "final_obs" in infos:
            infos["_final_obs"] = terminated | truncated
        return observations, rewards.astype(np.float64), terminated, truncated, infos
