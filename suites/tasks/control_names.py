"""The names of dm_control's tasks, known without importing it."""

# domain: (usual task, the others...)
DOMAINS: dict[str, tuple[str, ...]] = {
    "acrobot": ("swingup", "swingup_sparse"),
    "ball_in_cup": ("catch",),
    "cartpole": (
        "swingup",
        "swingup_sparse",
        "balance",
        "balance_sparse",
        "two_poles",
        "three_poles",
    ),
    "cheetah": ("run",),
    "dog": ("walk", "stand", "trot", "run", "fetch"),
    "finger": ("spin", "turn_easy", "turn_hard"),
    "fish": ("swim", "upright"),
    "hopper": ("hop", "stand"),
    "humanoid": ("walk", "stand", "run", "run_pure_state"),
    "humanoid_CMU": ("walk", "stand", "run"),
    "lqr": ("lqr_2_1", "lqr_6_2"),
    "manipulator": ("bring_ball", "bring_peg", "insert_ball", "insert_peg"),
    "pendulum": ("swingup",),
    "point_mass": ("easy", "hard"),
    "quadruped": ("walk", "run", "escape", "fetch"),
    "reacher": ("easy", "hard"),
    "stacker": ("stack_2", "stack_4"),
    "swimmer": ("swimmer6", "swimmer15"),
    "walker": ("walk", "stand", "run"),
}

TASKS: tuple[str, ...] = tuple(
    f"{domain}-{task}" for domain, tasks in DOMAINS.items() for task in tasks
)

# The 28 tasks of `suite.BENCHMARKING`.
BENCHMARKING: tuple[str, ...] = (
    "acrobot-swingup",
    "acrobot-swingup_sparse",
    "ball_in_cup-catch",
    "cartpole-balance",
    "cartpole-balance_sparse",
    "cartpole-swingup",
    "cartpole-swingup_sparse",
    "cheetah-run",
    "finger-spin",
    "finger-turn_easy",
    "finger-turn_hard",
    "fish-swim",
    "fish-upright",
    "hopper-hop",
    "hopper-stand",
    "humanoid-run",
    "humanoid-stand",
    "humanoid-walk",
    "manipulator-bring_ball",
    "pendulum-swingup",
    "point_mass-easy",
    "reacher-easy",
    "reacher-hard",
    "swimmer-swimmer15",
    "swimmer-swimmer6",
    "walker-run",
    "walker-stand",
    "walker-walk",
)


def split(name: str) -> tuple[str, str]:
    """`walker-run` as (`walker`, `run`); a bare domain means its usual task.

    Raises:
      KeyError: if dm_control has no such task.
    """
    domain, _, task = name.partition("-")
    tasks = DOMAINS[domain]
    task = task or tasks[0]
    if task not in tasks:
        raise KeyError(name)
    return domain, task
