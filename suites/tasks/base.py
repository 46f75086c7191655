"""What all tasks have in common."""

from typing import Any

from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from suites.errors import NoOtherPhysicsError
from suites.tasks.other_physics import OtherPhysics
from suites.tasks.spec import TaskSpec


class Task(VectorEnv):
    """`num_envs` environments of one task, with its facts.

    Autoreset is Gymnasium's `SAME_STEP`: the step that ends an episode returns the first
    observation of the next one, and the last of the old in `infos["final_obs"]` (rows where
    `infos["_final_obs"]`).
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, facts: TaskSpec, num_envs: int):
        self.facts, self.num_envs = facts, num_envs
        self.single_observation_space = facts.observation_space
        self.single_action_space = facts.action_space
        self.observation_space = batch_space(facts.observation_space, num_envs)
        self.action_space = batch_space(facts.action_space, num_envs)

    def refuse(self, other: OtherPhysics | None) -> None:
        """Of a task that has no physics which could be others.

        Raises:
          NoOtherPhysicsError: for other physics.
        """
        if other not in (None, OtherPhysics()):
            raise NoOtherPhysicsError(
                f"{self.facts.name} has no other physics; leave out world_model.physics"
            )
