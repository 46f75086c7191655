"""DM Control's 51 tasks under Gymnasium's names, for agents of any kind.

    import gymnasium
    import suites.tasks.registration
    envs = gymnasium.make_vec("plan-or-learn/cheetah-run-v0", num_envs=16, threads=2)

or in one expression, without the import:
`gymnasium.make_vec("suites.tasks.registration:plan-or-learn/cheetah-run-v0", num_envs=16)`.

What comes back is a `suites.tasks.control.ControlTask`, stepped in compiled code where the task has
a twin. It resets itself in the step that ends an episode (Gymnasium's `SAME_STEP`).
"""

import gymnasium

from suites.tasks.control_names import TASKS

NAMESPACE = "plan-or-learn"


def identifier(name: str) -> str:
    """Gymnasium's name of a task: `cheetah-run` is `plan-or-learn/cheetah-run-v0`."""
    return f"{NAMESPACE}/{name}-v0"


for _name in TASKS:
    gymnasium.register(
        identifier(_name),
        vector_entry_point="suites.tasks.control:suite_task",
        kwargs={"name": _name},
    )
