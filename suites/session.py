"""A run at work: it trains from evaluation to evaluation, and records them."""

import time
from typing import Any

from suites.assembly import assemble, build
from suites.checkpoints import (
    Finished,
    fitting,
    load,
    load_training,
    save,
    save_agent,
    save_training,
    trainings,
)
from suites.environment import complain
from suites.errors import UserError
from suites.evaluate import evaluate
from suites.ledger import Costs, Meter, columns, concurrent_runs, costs_of
from suites.progress import Progress, TrainingProgress
from suites.records import Run
from suites.train import Trainer

LOGS = 100  # rows of training in metrics.jsonl, at most


class Session:
    """What a run that is not done needs: its agent, its tasks, and its training where it has one.

    Arguments:
      run: Where it is recorded.
      rows: Evaluations that are already recorded.
    """

    def __init__(self, run: Run, config: Any, meter: Meter, threads: int, rows: int):
        self.run, self.config, self.meter, self.threads = run, config, meter, threads
        self.task, self.agent = assemble(config, threads)
        meter.gpu = str(config.device) != "cpu" and bool(self.agent.trained)
        self.trainer: Trainer | None = None
        if config.budget.env_steps:
            self._begin_training(rows)

    def _begin_training(self, rows: int) -> None:
        config, folder = self.config, self.run.path / "checkpoint"
        envs = self.agent.num_envs
        task = build("task", config, num_envs=envs, threads=self.threads)
        self.trainer = Trainer(self.agent, task, config.seed, folder, self.meter)
        stored = load_training(self.run.path)
        if stored:
            state, memory = stored
            if memory is None:
                complain(
                    f"continuing from control step {state['env_steps']} without what was"
                    " remembered (checkpoint.replay=false): not the run that it would have been"
                )
            with fitting(trainings(self.run.path)[-1]):
                self.trainer.load(state, memory)
                rows_then = state["rows"]
            if rows_then < rows:  # the row of this evaluation holds these costs
                self.trainer.costs = Costs()
            complain(f"continuing from control step {self.trainer.env_steps} of training")
        steps = self.trainer.env_steps
        self.run.keep("metrics.jsonl", lambda row: row["env_steps"] <= steps)
        self._saved = time.monotonic()
        total, every = config.budget.env_steps, config.evaluation.every
        self._progress = TrainingProgress(steps, total, every)

    def train(self, until: int, rows: int) -> None:
        """Train until `until` control steps, and leave a checkpoint there.

        Raises:
          UserError: where training can't go on; names the last good checkpoint.
        """
        assert self.trainer is not None
        every = max(self.config.budget.env_steps // LOGS, 1)

        def on_decision(trainer: Trainer) -> None:
            self.meter.poll()
            self._progress.step(trainer.env_steps, trainer.said)
            self.run.progress(trainer.env_steps, self.config.budget.env_steps)
            if trainer.env_steps - trainer.logged >= every:
                self.run.append("metrics.jsonl", trainer.take_log())
            if time.monotonic() - self._saved >= self.config.checkpoint.seconds:
                self._save(rows)

        try:
            self.trainer.run(until, on_decision)
        except UserError as error:
            last = trainings(self.run.path)
            good = f"the last good checkpoint is {last[-1]}" if last else "there is no checkpoint"
            raise UserError(f"{error}; {good}") from error
        self._save(rows)

    def _save(self, rows: int) -> None:
        assert self.trainer is not None
        memory = self.trainer.memory() if self.config.checkpoint.replay else None
        state = {**self.trainer.state(), "rows": rows}
        save_training(self.run.path, self.trainer.env_steps, state, memory)
        self._saved = time.monotonic()

    def evaluate(self, at: int, last: dict[str, Any] | None) -> dict[str, Any]:
        """Play what is missing of an evaluation; its row. `last` is the row before.

        The columns of the ledger are sums since the beginning of the run.
        """
        config = self.config
        finished = load(self.run.path, at)
        rows = self.run.rows("metrics.jsonl")
        told = {row["episode"] for row in rows if "episode" in row and row["env_steps"] == at}
        for k in sorted(set(finished) - told):  # killed between the two files
            self.run.append("metrics.jsonl", finished[k].metrics(at))
        missing = [k for k in range(config.evaluation.episodes) if k not in finished]
        training = self.trainer.take_costs() if self.trainer else Costs()
        begin = time.monotonic()
        rest = self._play(at, finished, missing)
        episodes = [finished[k] for k in range(config.evaluation.episodes)]
        row = self._row(episodes, training + rest, last)
        if self.trainer:
            self._progress.evaluated(at, row["score"], time.monotonic() - begin)
        return row

    def _play(self, at: int, finished: dict[int, Finished], missing: list[int]) -> Costs:
        """Play the missing episodes into `finished`; the costs that no episode's record holds."""
        config = self.config
        if not missing:
            return self.meter.lap()
        if finished and not self.trainer:
            total = config.evaluation.episodes
            complain(f"continuing: {len(finished)} of {total} episodes are there")
        progress, horizon = None, self.task.facts.horizon
        if not self.trainer:
            progress = Progress(len(finished), config.evaluation.episodes, horizon)

        def on_step(episode: int, steps: int, score: float, plan_seconds: float) -> None:
            if progress:
                progress.step(episode, steps, score, plan_seconds)
                self.run.progress(episode * horizon + steps, config.evaluation.episodes * horizon)

        outside = self.meter.lap()
        episodes = evaluate(
            self.agent.greedy,
            self.task,
            config.seed,
            config.evaluation.seed,
            missing,
            self.meter,
            record_states=config.video and at == config.budget.env_steps,
            on_step=on_step,
        )
        try:
            for episode in episodes:
                finished[episode.index] = Finished(episode, outside, concurrent_runs())
                save(self.run.path, at, finished[episode.index])
                self.run.append("metrics.jsonl", finished[episode.index].metrics(at))
                outside = self.meter.lap()
        finally:
            if progress:
                progress.close()
        return outside

    def _row(
        self, episodes: list[Finished], rest: Costs, last: dict[str, Any] | None
    ) -> dict[str, Any]:
        """A row of `evaluations.jsonl`."""
        returns = [finished.episode.score for finished in episodes]
        outside, evaluation = costs_of(last) if last else (Costs(), Costs())
        outside = sum((finished.outside for finished in episodes), outside + rest)
        evaluation = sum((finished.episode.costs for finished in episodes), evaluation)
        concurrent = [x for f in episodes if (x := f.concurrent_runs) is not None]
        return {
            "score": sum(returns) / len(returns),
            "returns": returns,
            "lengths": [finished.episode.length for finished in episodes],
            **columns(outside, evaluation),
            "threads": self.threads,
            "concurrent_runs": max(concurrent, default=None),
            "clairvoyant": self.config.world_model.get("clairvoyant", False),
            "reproducible": self.config.planner.get("seconds") is None,
            "reference": self.task.facts.reference,
        }

    def keep_agent(self) -> None:
        """Store the agent that was trained."""
        if self.trainer:
            self._progress.close()
            save_agent(self.run.path, self.agent.state())
