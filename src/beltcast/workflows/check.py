"""Check a model, or a study with all its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from beltcast.display.translations import word
from beltcast.ensembles.reality_checks import Violation, check_statements
from beltcast.forecasting.summary import example_words
from beltcast.inference.audit.prior_predictive import prior_doubts, prior_predictive, prior_words
from beltcast.model.checks import Checked, as_json, check_model, check_text
from beltcast.model.model import Model
from beltcast.model.vensim_checks import VensimFinding, check_vensim_statements
from beltcast.schema import Label, Language, Progress, no_progress
from beltcast.study.doubts import doubts
from beltcast.study.study import Study


@dataclass(frozen=True, eq=False)
class CheckedModel:
    """What the checks of a model found.

    Attributes
    ----------
    model : Model
    checked : Checked
        Units, steps, signs, extremes and loops.
    carried : int
        Reality checks that the Vensim file has.
    findings : tuple of VensimFinding
        Those of them that fail or cannot be judged.
    labels : mapping of str to Label
        How the study calls variables.
    """

    model: Model
    checked: Checked
    carried: int
    findings: tuple[VensimFinding, ...]
    labels: Mapping[str, Label] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        """What is wrong."""
        return len(self.checked.units) + sum(finding.fails for finding in self.findings)

    @property
    def doubts(self) -> int:
        """What should be looked at."""
        passed = sum(not finding.fails for finding in self.findings)
        return len(self.checked.negative) + len(self.checked.extremes) + passed

    def lines(self, language: Language = "en") -> list[str]:
        """Say what was found."""
        labels = self.labels or None
        lines = [check_text(self.checked, self.model.path, language=language, labels=labels)]
        if not self.checked.units:
            lines.append(word("units consistent", language))
        if self.carried:
            found = len(self.findings)
            lines.append(word("vensim checks", language, count=self.carried, found=found))
        for finding in self.findings:
            lines.append(f"{self.model.path}:{finding.line}: '{finding.name}' {finding.sentence}")
        return lines

    def facts(self) -> dict[str, Any]:
        """Return what was found, for JSON."""
        facts = as_json(self.checked)
        if self.findings:
            facts["vensim_reality_checks"] = [asdict(finding) for finding in self.findings]
        return facts


@dataclass(frozen=True, eq=False)
class CheckedStudy:
    """What the checks of a study found.

    Attributes
    ----------
    study : Study
    of_model : CheckedModel
    expected : pandas.DataFrame or None
        Observations beside their prior predictive distribution.
    violations : tuple of Violation
        Reality checks of the study that fail.
    draws : int
        Draws of the priors behind both.
    """

    study: Study
    of_model: CheckedModel
    expected: pd.DataFrame | None
    violations: tuple[Violation, ...]
    draws: int

    @property
    def faults(self) -> int:
        """What is wrong."""
        return self.of_model.faults + len(self.violations)

    @property
    def doubts(self) -> int:
        """What should be looked at."""
        return self.of_model.doubts + len(self._unlikely("en"))

    def _unlikely(self, language: Language) -> tuple[str, ...]:
        beside = doubts(self.study.observations, language)
        return beside if self.expected is None else beside + prior_doubts(self.expected, language)

    def lines(self, language: Language = "en") -> list[str]:
        """Say what was found."""
        study, rows = self.study, self.study.observations
        counts = {
            "rows": len(rows),
            "priors": len(study.priors),
            "scenarios": len(study.scenarios),
        }
        lines = [word("read", language, **counts), *rows.assumed]
        lines += [
            word("doubt", language, path=rows.path, sentence=sentence)
            for sentence in self._unlikely(language)
        ]
        if self.expected is not None:
            lines.append(prior_words(self.expected, self.draws, language))
        if examples := example_words(rows, language):
            lines.append(examples)
        lines += self.of_model.lines(language)
        if study.reality_checks and self.draws:
            lines += self._violation_lines(language)
        return lines

    def _violation_lines(self, language: Language) -> list[str]:
        """Say which reality checks fail, how often, when first and in which draw."""
        counted = word(
            "reality checks",
            language,
            statements=len(self.study.reality_checks),
            draws=self.draws,
            scenarios=len(self.study.scenarios),
        )
        if not self.violations:
            return [word("all hold", language, counted=counted)]
        said = [word("violated", language, **_violated(v)) for v in self.violations]
        return [f"{counted}:", *said]

    def facts(self) -> dict[str, Any]:
        """Return what was found, for JSON."""
        facts = self.of_model.facts()
        if self.violations:
            facts["reality_checks"] = [_violated(v) for v in self.violations]
        return facts


def _violated(violation: Violation) -> dict[str, Any]:
    statement = violation.statement
    return {
        "name": statement.name,
        "say": statement.say,
        "condition": violation.condition,
        "share": violation.share,
        "time": violation.time,
        "draw": violation.draw,
    }


def check(
    subject: Model | Study,
    *,
    draws: int = 200,
    seconds: float = 60.0,
    progress: Progress | None = None,
) -> CheckedModel | CheckedStudy:
    """Check a model, or a study: units, reality checks, numbers that look wrong, extremes, loops.

    Parameters
    ----------
    subject : Model or Study
    draws : int
        Draws of the priors for a study's reality checks and predictive check; 0 for neither.
    seconds : float
        Time limit for runs with extreme constants.
    progress : Progress, optional

    Examples
    --------
    >>> from beltcast import check, read_study
    >>> check(read_study().model, seconds=0).faults
    0
    """
    if isinstance(subject, Model):
        return _check_model(subject, seconds, progress)
    expected = prior_predictive(subject, draws, rng=np.random.default_rng(1)) if draws else None
    violations = _violations(subject, draws)
    of_model = _check_model(subject.model, seconds, progress, subject.labels())
    return CheckedStudy(subject, of_model, expected, violations, draws)


def _check_model(
    model: Model,
    seconds: float,
    progress: Progress | None,
    labels: Mapping[str, Label] | None = None,
) -> CheckedModel:
    checked = check_model(model, progress=progress or no_progress, seconds=seconds)
    return CheckedModel(model, checked, *check_vensim_statements(model), labels or {})


def _violations(study: Study, draws: int) -> tuple[Violation, ...]:
    """Reality checks of a study that fail, over draws of its priors."""
    if not study.reality_checks or not draws:
        return ()
    rng = np.random.default_rng(1)
    values = study.priors.natural(study.priors.draw(rng, draws))
    rows = study.priors.settable
    labels = [study.priors.labels[i] for i in rows]
    return check_statements(
        study.model, study.reality_checks, study.scenarios, (labels, values[:, rows])
    )
