"""Passes over batches by the fastest methods that are right, and the checks which show that.

A batch is proven (`proof`): the first one, the next after `restart`, any that is new in the shapes
of its tensors, any whose model may move rows as the data say, and as many as it takes until each
parameter has had gradients other than 0 in a proof. Where a method fails, the parameters concerned
go on to the next slower one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch

from .._support.types import Indices
from . import proof
from .backward_pass import BackwardPass, MethodFails, Observer
from .batch import Batch
from .calibration import (
    Calibration,
    calibrate,
    depends_on_others,
    require_independence,
    sketches,
)
from .captured_gradients import Module
from .parameters import owners, some
from .row_order import may_move_rows
from .sample_dims import SampleDims

T = TypeVar("T")

# Batches of new shapes are proven while proofs are fewer than FREE_PROOFS and one in PROOF_EVERY.
FREE_PROOFS, PROOF_EVERY = 16, 50


class _Seen:
    """What a pass shows of itself: the shapes in it, and whether rows may have been moved."""

    def __init__(self, samples: Batch) -> None:
        self._n, self._inputs = samples.size, samples.shapes
        self._outputs: list[tuple[int, tuple[int, ...]]] = []  # of each call of a layer, by its id
        self.moves_rows = False

    def on_call(self, module: Module, out: torch.Tensor) -> None:
        self._outputs.append((id(module), tuple(out.shape)))

    def on_losses(self, losses: torch.Tensor) -> None:
        self.moves_rows = bool(self._outputs) and may_move_rows(losses)

    @property
    def shapes(self) -> Hashable:
        return self._n, self._inputs, tuple(self._outputs)

    @property
    def kind(self) -> Hashable:
        """The shapes, where a size is told from others only if it is 1 or that of the batch."""

        def kinds(shape: tuple[int, ...]) -> tuple[str, ...]:
            return tuple("n" if d == self._n else "1" if d == 1 else "" for d in shape)

        outputs = tuple((layer, kinds(shape)) for layer, shape in self._outputs)
        return min(self._n, 2), tuple(map(kinds, self._inputs)), outputs


class CheckedPass:
    """Sketches batches, and keeps what the batches so far have shown.

    `method` and `check` are those of `GradientSketcher`; with check=0 nothing is proven.
    """

    def __init__(
        self, backward: BackwardPass, method: str, check: int, n_threads: int | None
    ) -> None:
        self.backward, self.method, self.check = backward, method, check
        self.n_threads = n_threads
        self.forget()

    def forget(self) -> None:
        """Forget all batches, so that the next one is treated as the first."""
        self.methods: dict[str, str] | None = None  # of each parameter, now
        self.first_methods: dict[str, str] | None = None  # after the first batch
        self.tolerance = 0.0
        self._orders: dict[str, list[str]] = {}  # as in `Calibration`
        self._dims: dict[Module, SampleDims] = {}  # as in `Calibration`
        self._expanded: frozenset[Module] = frozenset()  # as in `Calibration`
        self._first_expanded = self._expanded  # after the first batch
        self._size = 0  # samples of the largest batch so far, at most 2
        self._due = True  # whether the next batch is proven
        self._proven: set[str] = set()  # parameters with gradients other than 0 in a proof
        self._compared = 0  # samples with a gradient that have been compared with the loop's
        self._shapes: set[Hashable] = set()  # shapes, and kinds of shapes, that have been proven
        self._moves_rows = False  # whether a batch may have moved rows
        self._passes = self._proofs = 0

    def restart(self) -> None:
        """Go back to the methods that the first batch settled, and prove the next batch."""
        self.methods, self._due = self.first_methods, True
        self._expanded = self._first_expanded

    def __call__(self, samples: Batch, ids: Indices, step: int) -> torch.Tensor:
        """(B, m) The sketches of a batch, `step` samples at a time.

        Raises ValueError where no method that may be used gives the gradients. Then what earlier
        batches have shown stays.
        """
        # A batch of one sample does not show which inputs are per sample, nor whether samples mix:
        # the first batch of two or more is calibrated on again.
        first = None
        if self.methods is None or self._size < min(samples.size, 2):
            first = calibrate(self.backward, samples, ids, self.method, self.check)
            self.tolerance, self._expanded = first.tolerance, first.expanded
            self._orders, self._dims = first.orders, first.dims
        methods = first.methods if first is not None else self.methods
        assert methods is not None
        said: list[str] = []
        if first is not None and self.check and self.method != "loop":
            methods, _ = self._with_slower(
                methods, said, lambda methods, again: self._hold_against_the_loop(first, methods)
            )
            if not self.backward.updates:
                require_independence(self.backward, samples.rows(slice(0, step)), ids[:step], first)
        due = self._due or first is not None
        methods, Z = self._with_slower(
            methods,
            said,
            # The methods that come in after a failure must be right: they are proven.
            lambda methods, again: self._sketched(samples, ids, step, methods, due or again),
        )
        for message in said:
            warnings.warn(message, stacklevel=3)
        self.methods, self._due = methods, False
        if first is not None:
            self.first_methods, self._first_expanded = methods, self._expanded
        self._size = max(self._size, min(samples.size, 2))
        return Z

    def _sketched(
        self, samples: Batch, ids: Indices, step: int, methods: dict[str, str], due: bool
    ) -> torch.Tensor:
        Z = self.backward.zeros(samples.size)
        for i in range(0, samples.size, step):
            rows = slice(i, i + step)
            self._add(samples.rows(rows), ids[rows], methods, Z[rows], due)
        return Z

    def _add(
        self, samples: Batch, ids: Indices, methods: dict[str, str], Z: torch.Tensor, due: bool
    ) -> None:
        """Add the sketches of samples to Z, which is 0; prove them where that is `due` or something
        new shows."""
        chosen = [name for name, how in methods.items() if how != "none"]
        # The loop is right by definition. Updates are not linear in gradients, so that sums prove
        # nothing of them; but they are made by vmap and the loop, which take samples apart.
        watched = self.check > 0 and self.method != "loop" and not self.backward.updates
        fresh = set(chosen) - self._proven
        w = proof.weights(samples.size, self.backward.sketch.seed)
        recorded = watched and (due or fresh or self._moves_rows)
        record = proof.WeightedSums(Z, w) if recorded else None
        seen = _Seen(samples)
        sums = self.backward.sums(record or (lambda slot: Z), self.n_threads)
        observer = Observer(
            self._expanded.__contains__, self._dims.get, seen.on_call, seen.on_losses
        )
        self.backward.add(samples, ids, methods, sums, observer)
        if not watched:
            return
        self._passes += 1
        self._moves_rows |= seen.moves_rows
        found = record.of() if record is not None else {}
        news = any(found[name].any() for name in fresh & found.keys())
        if not (due or news or seen.moves_rows or self._is_new(seen)):
            return
        if record is None:  # once more, with the sums of each parameter
            self._add(samples, ids, methods, Z.zero_(), due=True)
            return
        if not Z.isfinite().all():
            return  # NaN or Inf proves nothing; the sketcher reports it
        expected, scale = self.backward.weighted(samples, ids, chosen, w), proof.scale(Z, w)
        off = proof.differing(found, expected, chosen, scale, self.tolerance)
        _require_equal(off, "of the whole batch")
        if seen.kind not in self._shapes or self._compared < self.check:
            self._require_alone(samples, ids, Z)
        self._proven |= {name for name in fresh & found.keys() if found[name].any()}
        self._shapes |= {seen.shapes, seen.kind}
        self._proofs += 1

    def _is_new(self, seen: _Seen) -> bool:
        """Whether shapes are to be proven: of a new kind, or new while proofs are few."""
        if seen.shapes in self._shapes:
            return False
        few = self._proofs < FREE_PROOFS + self._passes // PROOF_EVERY
        return few or seen.kind not in self._shapes

    def _require_alone(self, samples: Batch, ids: Indices, Z: torch.Tensor) -> None:
        """Raises ValueError where one of the `check` largest gradients of a batch is another than
        for the sample alone."""
        if samples.size == 1:
            return
        norms, rows = Z.norm(dim=1).topk(min(self.check, samples.size))
        for i in rows[norms > 0].tolist():
            one, by_loop = slice(i, i + 1), dict.fromkeys(self.backward.slots, "loop")
            parts = sketches(self.backward, samples.rows(one), ids[one], by_loop)
            alone = sum(parts.values(), self.backward.zeros(1))
            error = float((Z[one] - alone).norm() / alone.norm())
            if not error <= self.tolerance:
                raise depends_on_others(i, error)
            self._compared += 1

    def _hold_against_the_loop(self, first: Calibration, methods: dict[str, str]) -> None:
        """Raises MethodFails for parameters whose sketches differ from the loop's."""
        observer = Observer(self._expanded.__contains__, self._dims.get)
        found = sketches(self.backward, first.samples, first.ids, methods, observer)
        n = len(next(iter(first.alone.values())))
        found = {name: Z[:n] for name, Z in found.items()}
        total = sum(first.alone.values(), torch.zeros(())).norm(dim=1)
        off = proof.differing(found, first.alone, first.alone, total, first.tolerance)
        _require_equal(off, "that the loop finds")

    def _with_slower(
        self,
        methods: dict[str, str],
        said: list[str],
        work: Callable[[dict[str, str], bool], T],
    ) -> tuple[dict[str, str], T]:
        """What work(methods, whether this is a new attempt) returns, after the methods with which
        it does not fail."""
        again = False
        while True:
            try:
                return methods, work(methods, again)
            except MethodFails as failure:
                again = True
                if self._expanded and self.method == "auto":
                    methods = self._without_expansion(methods)
                else:
                    methods = self._slower(methods, failure, said)

    def _without_expansion(self, methods: dict[str, str]) -> dict[str, str]:
        """The methods with the next slower one for layers whose one row serves all samples: when it
        is expanded, the gradients of others may be wrong too."""
        names = [
            slot.name
            for module, own in owners(self.backward.model, self.backward.slots).items()
            if module in self._expanded
            for slot in own.values()
        ]
        self._expanded = frozenset()
        slower = {name: self._orders[name][1] for name in names if methods[name] == "hooks"}
        return {**methods, **slower}

    def _slower(
        self, methods: dict[str, str], failure: MethodFails, said: list[str]
    ) -> dict[str, str]:
        """The methods with the next slower one for the parameters of a failure, and a message of it
        added to `said`. Raises where there is none."""
        names, changed = failure.names, {}
        for name in names:
            how, order = methods[name], self._orders[name]
            slower = order if how == "none" else order[order.index(how) + 1 :]
            if slower:
                changed[name] = slower[0]
            elif failure.__cause__ is not None:  # torch's own error, of vmap
                raise failure.__cause__
            else:
                raise ValueError(
                    f"check: expected gradients by {how!r} that equal the loop's and those of the "
                    f"whole batch, got {name!r} {failure.reason}. Is a weight used "
                    "outside of its layer, do samples of a batch depend on each other, is a "
                    "checkpoint reentrant, or is something random at work? method='auto' or 'loop' "
                    "may do, or other params"
                )
        before = {methods[name] for name in names}
        if "hooks" in before:
            said.append(
                f"check: expected gradients of layers by their formulas, got {some(names)} "
                f"{failure.reason}; they go through vmap(grad), which is slower"
            )
        elif "vmap" in before:
            said.append(
                f"vmap(grad) fails for this model ({failure.reason}): {len(names)} parameters, "
                f"{names[0]!r} first, go through the model one sample at a time"
            )
        return {**methods, **changed}


def _require_equal(off: dict[str, float], to: str) -> None:
    """Raises MethodFails if any parameter is off from its gradient."""
    if off:
        raise MethodFails(off, f"off by {max(off.values()):.2g} of its norm from the gradient {to}")
