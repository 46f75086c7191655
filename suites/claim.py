"""Tests a claim about reinforcement learning: `python -m suites.claim ten_seeds`. See `--help`."""

import sys
from pathlib import Path
from typing import Any

import suites.environment  # noqa: F401  (before NumPy)
from suites.claims import design, report
from suites.claims.judge import judge
from suites.environment import complain, say
from suites.errors import UserError
from suites.options import Key, command, read_options, split
from suites.records import read_json
from suites.sweeps import command as sweeps

HELP = """\
What the essay "Deep Reinforcement Learning Doesn't Work Yet" (Irpan 2018) claims, as experiments
that end with a verdict: supported, contradicted or undecided. docs/claims.md tells all of them.

  python -m suites.claim random_seed              make its runs, and decide
  python -m suites.claim random_seed              again: only decide, as its runs are done
  python -m suites.claim reward_scale budget=full workers=16
  python -m suites.claim all                      every claim without a verdict, and the table

Claims
{claims}

Keys
  budget: laptop   # laptop: about a quarter of an hour on two cores; full: as the claim was made
  seeds: null      # so many of them, from 0 on; null: as the claim's yaml says
  workers: null    # runs at a time; null: as many as there are cores for
  run: true        # false: make no runs, decide by what is done
  plan: false      # true: make no runs, say what they will cost, by short ones
  runs_dir: runs   # runs and verdict go to <runs_dir>/claims/<name>-<budget>
  out: results     # where `all` keeps verdicts and the table, claims.md"""
KEYS = {
    "budget": Key(str, "laptop", choices=design.BUDGETS),
    "seeds": Key(int, None, least=1),
    "workers": Key(int, None, least=1),
    "run": Key(bool, True),
    "plan": Key(bool, False),
    "runs_dir": Key(str, "runs"),
    "out": Key(str, "results"),
}


def main() -> None:
    """The command line. Exit code 0: decided or undecided; 1: runs failed; 2: bad input."""
    asked = not sys.argv[1:] or {"-h", "--help"} & set(sys.argv[1:])
    told = HELP.format(claims=_listed()) if asked else ""
    command(told, claim, "finished runs are kept, and the same command continues")


def _listed() -> str:
    claims = {name: design.load(name, "laptop").claim for name in design.names()}
    width = max(map(len, claims))
    return "\n".join(f"  {name:<{width}}  {claim}" for name, claim in claims.items())


def claim(words: list[str]) -> int:
    """Test one claim, or all that have no verdict; the exit code.

    Raises:
      UserError: for unknown claims and values that make no sense.
    """
    chosen, said = split(words)
    options = read_options(said, KEYS)
    if len(chosen) != 1:
        raise UserError("give the name of one claim, or all; --help lists them")
    if options["plan"] and chosen == ["all"]:
        raise UserError("plan=true goes with the name of one claim")
    if chosen != ["all"]:
        return test(design.load(chosen[0], options["budget"]), options)
    code = 0
    for name in design.names() if options["run"] else ():
        one = design.load(name, options["budget"])
        decided = read_json(one.folder(options["runs_dir"]) / "verdict.json")
        if decided and not decided["waiting"]:
            continue
        try:
            code = max(code, test(one, options))
        except UserError as error:  # the others go on
            complain(f"error: {error}")
            code = 1
    stored = report.collect(Path(options["runs_dir"]), Path(options["out"]))
    if not stored:
        raise UserError("no claim has a verdict yet")
    say(report.brief(stored))
    complain(f"written to {options['out']}/claims.md")
    return code


def test(one: design.Claim, options: dict[str, Any]) -> int:
    """Make the runs of a claim that are missing, and decide; 1 if some of them failed."""
    folder = one.folder(options["runs_dir"])
    jobs = one.jobs(options["runs_dir"], options["seeds"])
    words = ["-m", "-cd", str(folder), *one.words(options["runs_dir"], options["seeds"])]
    words += [f"sweep.workers={options['workers']}"] if options["workers"] else []
    if options["plan"]:
        return sweeps.main([*words, "--plan-cost"])
    code = sweeps.main(words) if options["run"] else 0
    record = judge(one, jobs)
    report.write(record, folder)
    say(report.told(record))
    complain(f"written to {folder}/verdict.json")
    return code


if __name__ == "__main__":
    main()
