"""Stored decisions are planned again, with the networks of today.

Schrittwieser et al. (2021), "Online and offline reinforcement learning by planning with a learned
model" (MuZero Unplugged): policies in memory, which learners aim at, stay as good as what was
learned since.
"""

from typing import Any

import numpy as np

from planners.noise import Noise
from suites.errors import UserError
from suites.evaluate import Agent

BATCH = 64  # decisions that are planned again together
_SALT = 2  # tells its random numbers from those of training


def reanalyse(agent: Agent, source: Any, seed: int) -> int:
    """Plan again what is due after the last decision; how many decisions that were.

    Of stored decisions, with replacement, as many per decision as the learner's `reanalysis` says.
    They are planned as in evaluation, without exploration. Nothing is kept between two calls:
    random numbers are keyed by how much has been added so far.

    Arguments:
      source: A `learners.sequences.SequenceReplay` with policies.

    Raises:
      UserError: for a planner whose plans have no policy.
    """
    ratio = getattr(agent.prior, "reanalysis", 0.0)
    if ratio == 0:
        return 0
    before = source.added - source.num_envs
    due = int(ratio * source.added) // BATCH - int(ratio * before) // BATCH
    if due == 0 or agent.model.warming or len(source) < BATCH:
        return 0
    import torch

    key = np.random.SeedSequence([seed, _SALT, source.added]).generate_state(1)[0]
    generator = torch.Generator().manual_seed(int(key))
    planner = agent.greedy.planner
    for k in range(due):
        drawn = source.sample(BATCH, 1, generator, torch.device("cpu"))
        state = agent.model.begin(drawn.observation[0].numpy(), None)
        noise = Noise.together(BATCH, int(key), k)
        plan, _ = planner.plan(agent.model, agent.prior, state, planner.init(BATCH), noise)
        if plan.policy is None:
            raise UserError(
                "learner.reanalysis: this planner finds no policy to learn from; choose"
                " planner=mcts, or learner.reanalysis=0"
            )
        source.overwrite(drawn.places, plan.policy, plan.candidates)
    return due * BATCH
