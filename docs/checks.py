"""Run the kinds of checks of the analysis functions, and print which are right and which wrong.

Run ``python docs/checks.py``.  A kind is one question that a closed form, another library or a
simulation answers; its tests are named here and run by pytest.  The column 'found' says what the
review of commit 4ee6f65 found; 'now' is the outcome of the tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SCORES, SKILL = "verification/scores", "verification/skill"
PRIM, VERDICTS = "drivers/prim", "verdicts"

KINDS: tuple[tuple[str, str, str, str], ...] = (
    # question, found, file of tests, what selects them there
    ("Pareto-smoothed weights: shape and quantiles", "right", "inference/psis", ""),
    ("R-hat, nested R-hat, effective draws: ArviZ", "right", "inference/diagnostics", ""),
    ("effective draws of the tail with ties", "wrong", "inference/diagnostics", "ties"),
    ("CRPS: scoringrules", "right", SCORES, "scoringrules"),
    ("log score of identical draws", "wrong", SCORES, "identical_draws"),
    ("MASE of a history that is flat but for rounding", "wrong", SCORES, "flat_history"),
    ("coverage and PIT of calibrated forecasts", "right", SCORES, "pit or clopper or coverage"),
    ("error scales: exact REML", "right", "inference/error_scales", "restricted"),
    ("sd between elements: exact marginal likelihood", "right", "inference/pool_scales", ""),
    ("Shapley values: axioms", "right", "drivers/attribute", "shapley or dividend"),
    ("Sobol' indices of Ishigami's function", "right", "drivers/sensitivity", "ishigami"),
    ("loop scores: published tables", "right", "drivers/loop_scores", "table or bass"),
    ("predicted observations: integrals", "right", "inference/predicted_observations", ""),
    ("updates where all is normal: conjugacy", "right", "inference/update", "exact or normal"),
    ("profile interval of a normal likelihood", "wrong", "inference/identify", "interval_of"),
    ("profile of what the data ignore", "wrong", "inference/identify", "ignore"),
    ("sign of a synergy: no effect, tie, NaN, few draws", "wrong", VERDICTS, "attribute"),
    ("drivers multiplied by zero", "wrong", "drivers/attribute", "do_nothing"),
    ("pools of constant or silent forecasters", "wrong", VERDICTS, "pool"),
    ("Sobol' indices of a constant output", "wrong", "drivers/sensitivity", "rounding"),
    ("inputs that tell noise or two cases apart", "wrong", PRIM, "noise_an_input or two_cases"),
    ("price of a change by rounding", "wrong", "drivers/price", "rounding"),
    ("Monte Carlo error of a chance", "wrong", VERDICTS, "forecast or compare"),
    ("better and worse among equal forecasters", "wrong", SKILL, "one_run_of_twenty"),
    ("skill at leads below a year", "wrong", SKILL, "leads_below"),
    ("PRIM on a plateau of noisy labels", "wrong", PRIM, "plateau or density_asked"),
    ("PRIM and inputs that are NaN", "wrong", PRIM, "not_finite"),
    ("PAWN of an input without effect", "wrong", "drivers/sensitivity", "pawn"),
    ("ranks of Morris and of the tornado", "wrong", "drivers/sensitivity", "ranks"),
    ("priors cut far in a tail", "wrong", "study/priors", "far_in_a_tail"),
    ("predictive bands without posterior sd", "wrong", "inference/predictive_checks", ""),
)  # fmt: skip


def main() -> None:
    """Print a row for each kind."""
    print("| kind of check | found | now | tests |")
    print("|---|---|---|---|")
    for question, found, file, chosen in KINDS:
        selection = ["-k", chosen] if chosen else []
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", path_of(file), *selection]
        code = subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode
        now = {0: "right", 1: "wrong"}.get(code, "no such test")
        print(f"| {question} | {found} | {now} | {where(file, chosen)} |", flush=True)


def path_of(file: str) -> str:
    """Path of a file of tests."""
    room, _, module = f"tests/{file}".rpartition("/")
    return f"{room}/test_{module}.py"


def where(file: str, chosen: str) -> str:
    """Name the tests of a kind, as the page does."""
    return f"`{path_of(file)}`" + (f", {chosen.replace('_', ' ')}" if chosen else "")


if __name__ == "__main__":
    main()
