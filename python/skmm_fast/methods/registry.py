"""The methods of `select`. A new one is a function of a `Problem` in a file of this folder, its
name in `MethodName`, and an entry here: `select`, `plan`, the command, the table of
docs/how_to/methods.md and the error messages read this table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .._support.near_names import did_you_mean
from . import (
    forgetting,
    grad_match,
    gradient_matching,
    less,
    leverage,
    model_scores,
    moment_matching,
    rds,
    sampling,
    sequential,
    target_v_optimality,
    v_optimality,
)
from .cost import Cost, Speed, Work, no_cost
from .problem import Chosen

MethodName = Literal[
    "auto",
    "gradient-matching",
    "v-optimal",
    "moment-matching",
    "uniform",
    "class-balanced",
    "herding",
    "k-center",
    "adaptive",
    "t-leverage",
    "r-leverage",
    "grand",
    "glister",
    "less",
    "rds",
    "grad-match",
    "entropy",
    "margin",
    "least-confidence",
    "contextual-diversity",
    "el2n",
    "deepfool",
    "forgetting",
]
METHODS: tuple[MethodName, ...] = get_args(MethodName)


@dataclass(frozen=True)
class Method:
    """An entry of the table."""

    name: MethodName
    run: Callable[..., Chosen]  # (problem, **options)
    chooses_by: str
    source: str
    needs: tuple[str, ...] = ()  # inputs beside the rows, as arguments of `select`
    wants: str = ""  # an input that has a default
    uses_target: bool = False
    options: Callable[..., object] | None = None  # what takes the options; by default `run`
    cost: Callable[[Work, Speed], Cost] | None = no_cost  # None: unknown to `plan`
    uses_pilot: bool = False
    spans: bool = True  # whether its rows should span the sketch, which is then n/2 wide at most
    on_ranks: bool = False  # whether it takes rows that lie on several ranks

    @property
    def option_names(self) -> tuple[str, ...]:
        parameters = inspect.signature(self.options or self.run).parameters.values()
        return tuple(p.name for p in parameters if p.default is not p.empty)

    def require_options(self, options: dict[str, Any], arguments: Collection[str]) -> None:
        """Raises TypeError naming the option that this method does not have, and what may have been
        meant among its options and the other arguments."""
        known = self.option_names
        for name in options:
            if name not in known:
                had = ", ".join(known) or "it has none"
                raise TypeError(
                    f"{name}: expected an option of method {self.name!r} ({had})"
                    f"{did_you_mean(name, {*known, *arguments})}"
                )

    def require_target(self, given: bool) -> None:
        """Raises ValueError where a target is given that this method does not use, or needed and
        not given."""
        if given and not self.uses_target:
            users = ", ".join(repr(m.name) for m in _TABLE if m.uses_target)
            raise ValueError(
                f"target: expected None with method {self.name!r}, got rows; it is used by {users}"
            )
        if not given and "target" in self.needs:
            raise ValueError(f"target: expected (T, r) rows with method {self.name!r}, got None")


_TABLE = (
    Method(
        "auto", gradient_matching.run,
        "gradient matching: to the target where given, in cells of classes where y is given",
        "this project", wants="target", uses_target=True,
        options=gradient_matching.MatchingOptions, cost=gradient_matching.cost,
        spans=False, uses_pilot=True,
    ),
    Method(
        "gradient-matching", gradient_matching.run,
        "weighted mean gradient of the chosen rows equal to that of all, in cells of alike rows",
        "this project", wants="target", uses_target=True,
        options=gradient_matching.MatchingOptions, cost=gradient_matching.cost,
        spans=False, uses_pilot=True,
    ),
    Method(
        "v-optimal", target_v_optimality.run,
        "smallest tr(Σ̃ Σ̃_S⁻¹), the variance part of the risk",
        "SkMM, arXiv 2407.06120, equation 3", wants="target", uses_target=True,
        options=target_v_optimality.SelectOptions, cost=v_optimality.cost, on_ranks=True,
    ),
    Method(
        "moment-matching", moment_matching.run,
        "relaxed selection that matches second moments, then a draw",
        "SkMM, arXiv 2407.06120, equation 5",
        options=moment_matching.SelectOptions, cost=moment_matching.cost, on_ranks=True,
    ),
    Method("uniform", sampling.uniform, "uniform draw", "sampling without replacement"),
    Method(
        "class-balanced", sampling.class_balanced, "uniform draw, equally many rows of each class",
        "sampling without replacement", ("y",),
    ),
    Method(
        "herding", sequential.herding, "mean of the chosen rows near the mean of all",
        "Welling 2009; Rebuffi et al. 2017", cost=sequential.cost,
    ),
    Method(
        "k-center", sequential.k_center, "largest distance to the nearest chosen row",
        "Gonzalez 1985; Sener and Savarese 2018", cost=sequential.cost,
    ),
    Method(
        "adaptive", sequential.adaptive, "draw by the residual beside the span of the chosen rows",
        "Deshpande and Vempala 2006; Chen et al. 2022", cost=sequential.cost,
    ),
    Method(
        "t-leverage", leverage.t_leverage, "draw by truncated leverage scores",
        "Drineas, Mahoney and Muthukrishnan 2008",
    ),
    Method(
        "r-leverage", leverage.r_leverage, "draw by ridge leverage scores",
        "Alaoui and Mahoney 2015",
    ),
    Method(
        "grand", model_scores.grand, "largest gradient norms",
        "Paul, Ganguli and Dziugaite 2021",
    ),
    Method(
        "glister", sequential.glister, "largest first-order gain on validation samples",
        "Killamsetty et al. 2021", wants="validation or target", uses_target=True,
        cost=sequential.cost,
    ),
    Method(
        "less", less.less, "largest cosine with the mean gradient of a target task",
        "LESS, arXiv 2402.04333", ("target",), uses_target=True,
    ),
    Method(
        "rds", rds.rds, "each target row in turn takes its nearest row, by cosine",
        "RDS+, arXiv 2503.01807", ("target",), uses_target=True,
        cost=None,  # its passes are one a few rows of the target
    ),
    Method(
        "grad-match", grad_match.grad_match, "weighted sum of the chosen rows near the mean of all",
        "GRAD-MATCH, arXiv 2103.00123", wants="target", uses_target=True, cost=grad_match.cost,
    ),
    Method(
        "entropy", model_scores.entropy, "largest entropy of the predicted probabilities",
        "Shannon 1948; Settles 2009", ("probs or logits",),
    ),
    Method(
        "margin", model_scores.margin, "smallest lead of the likeliest class",
        "Scheffer et al. 2001", ("probs or logits",),
    ),
    Method(
        "least-confidence", model_scores.least_confidence,
        "smallest probability of the likeliest class",
        "Lewis and Gale 1994", ("probs or logits",),
    ),
    Method(
        "contextual-diversity", sequential.contextual_diversity,
        "largest divergence of predictions from the nearest chosen row", "Agarwal et al. 2020",
        ("probs or logits",), cost=None,  # its passes are over what it makes of N C probabilities
    ),
    Method(
        "el2n", model_scores.el2n,
        "largest error of the predicted probabilities", "Paul, Ganguli and Dziugaite 2021",
        ("probs or logits", "y"),
    ),
    Method(
        "deepfool", model_scores.deepfool, "smallest change of features that changes the class",
        "Moosavi-Dezfooli et al. 2016; Ducoffe and Precioso 2018", ("logits", "head"),
    ),
    Method(
        "forgetting", forgetting.forgetting,
        "samples most often forgotten in training", "Toneva et al. 2019",
        ("record",),
    ),
)  # fmt: skip
REGISTRY: dict[str, Method] = {method.name: method for method in _TABLE}


def markdown_table() -> str:
    """The table of methods in docs/how_to/methods.md."""
    rows = [("method", "chooses by", "needs, beside gradients", "source"), ("---",) * 4]
    for m in _TABLE:
        needs = ", ".join(m.needs) or (f"{m.wants} (default: the pool)" if m.wants else "")
        rows.append((f"`{m.name}`", m.chooses_by, needs, m.source))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
