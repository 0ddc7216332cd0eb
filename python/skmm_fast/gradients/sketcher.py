"""`GradientSketcher`: maps a batch of samples to the sketches of their gradients.

It checks its arguments, calibrates on the first batch and then runs one backward pass for each
micro-batch. The coordinates of a gradient are those of the chosen parameters, in the order of
`model.named_parameters()`, each flattened row-major.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

import torch

from .._support import checks
from .._support.types import Indices
from .._version import __version__
from ..sketch.base import Sketch
from ..sketch.factored import PartlyFactored
from ..sketch.operators import KINDS, Kind, make
from . import losses
from .adam_update import updates_of
from .backward_pass import BackwardPass
from .batch import Batch, ids_of
from .calibration import MethodName
from .checked_pass import CheckedPass
from .description import identities
from .digests import digest
from .factoring import matrices_of
from .fingerprint import (
    adapters_of,
    architecture_of,
    autocast_on,
    hidden_state,
    loss_of,
)
from .parameters import Params, slots
from .scaling import Scale, scales_of
from .wrappers import usable

INPUT_BYTES = 1 << 23  # bytes of inputs in a micro-batch on the CPU, by default


class GradientSketcher:
    """Maps a batch to its sketched per-sample gradients, (B, sketch_dim).

    Layers are sketched one by one inside one backward pass of the batch. Linear, convolution (1d,
    2d), embedding and normalisation layers have formulas of their own; a linear layer that sees one
    vector a sample is sketched without its gradient being formed. For other parameters, of
    `nn.MultiheadAttention`, fused experts, DoRA or recurrent layers, the module around them is run
    again, alone, under `torch.func.vmap(grad)` or sample by sample; where that cannot be, because a
    weight is used elsewhere or the module is given a cache, say, the whole model is.

    Batches are proven: the gradient of Σ w_i loss_i with random weights w, by one ordinary backward
    pass, is held against Σ w_i Z_i, parameter by parameter. The first batch is proven, and the
    first of each shard of a store; each that has new shapes, as long as these are few, or a size
    that newly equals the number of samples; each until every parameter has had a gradient other
    than 0; and each in which the model may move rows as the data say (experts, batches sorted or
    packed inside). A proof takes up to as long as the batch. Parameters for which a formula is
    wrong go to slower methods, with a warning that names them. It is an error only where
    nothing agrees.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode, called as `model(inputs)` or `model(**inputs)`. Its parameters are float32,
        float64 or bfloat16, whose gradients are summed as float32; those that are not chosen may be
        integers, as in quantised layers. `DataParallel` and `DistributedDataParallel` are taken
        off, with a warning; models sharded among processes are refused. What `torch.compile` has
        made runs as it was before. Attention of transformers that is given a cache cannot be run
        alone: config.use_cache = False leaves it out.
    params : str, list of str or callable, default "last-2"
        "last" or "last-2" (the last one or two layers as `model.modules()` lists them; layers have
        a matrix or filters, so normalisation does not count; a parametrized layer, by weight_norm
        say, is one layer), "trainable", "all", names or glob
        patterns, or a predicate of (name, parameter).
    loss : {"cross-entropy", "mse", "causal-lm", "causal-lm-mean", "causal-lm-sum"} or callable
        "cross-entropy" of logits (B, C) with class numbers (B,); "mse", the mean over the outputs
        of a sample; "causal-lm", the sum over the T tokens of a sample whose label is not -100,
        divided by √T, so that the choice is not one by length (docs/explanation/lengths.md), or
        their mean, or their sum; or a function (model's output, labels) -> (B,) losses.
    targets : {"label", "random", "uniform"}
        The labels; draws from the model's own predictive distribution; or uniform classes. Draws
        are keyed by (seed, sample id). With "mse" choose "random": gradients with labels are as
        long as the errors, and rows of large errors are chosen (bench/README.md).
    sketch_dim : int, default 512
        The width m of the sketch.
    sketch, nnz_per_row
        The family of Γ, as `select` names it, and ζ of `SparseSign`; or "factored": the weights of
        linear layers that see many tokens are sketched as `Factored` does, in a few percent of the
        time of a forward and a backward pass, without their gradients.
    factor_dim : int, default 128
        k of `Factored`. Weights with at most k² entries, and layers whose inputs (B, d) have no
        tokens, are sketched by their entries; `factored` says which are not.
    scale : dict of tensors, callable, or torch.optim.Adam or AdamW, optional
        Numbers that the entries of gradients are multiplied with: a tensor of its shape for each
        chosen parameter, by name, or a function of (name, parameter) that gives it, such as
        `adam_scale`. Then gradients of layers are formed, some at a time. Or an optimizer of this
        model that has made steps: what is sketched is then the update that its next step would make
        by the gradient of the sample alone, as LESS has it for the samples of the pool: m/(√v + ε)
        with both moments moved by this gradient. The updates are formed whole, by "vmap" or "loop",
        since they are no products as gradients of layers are.
    device : str or torch.device, default "auto"
        Where the parameters are expected to be, and the sketch is made; "auto": where they are.
    method : {"auto", "hooks", "vmap", "loop"}
        "hooks" allows formulas alone, "vmap" and "loop", of the whole model, nothing else; "auto"
        takes for each parameter the first that can be had of formulas, of vmap and loop through a
        module, and of both through the model.
    check : int, default 2
        The number of samples of the first batch whose gradients are compared with the loop's. With
        0 nothing is compared or proven.
    micro_batch : int, optional
        Samples that go through the model at a time. Default: as many as have 8 MB of inputs on the
        CPU, whose allocator is slow beyond, and all of the batch on a GPU.
    seed : int, default 0
        The seed of Γ and of random targets.
    n_threads : int, optional
        Threads of the core.

    Raises
    ------
    TypeError, ValueError
        A module in training mode, no parameter chosen, unknown names, sketch_dim beyond the number
        of parameters, parameters sharded among processes, of other types or made under
        `torch.inference_mode`, an optimizer that is not Adam, or that has no moments of a chosen
        parameter.

    Notes
    -----
    SkMM, arXiv 2407.06120, section 4. `scale`: LESS, arXiv 2402.04333, definition 3.1.

    Examples
    --------
    >>> import torch
    >>> from skmm_fast.gradients import GradientSketcher
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    >>> sketcher = GradientSketcher(model.eval(), params="last", sketch_dim=32)
    >>> sketcher((torch.randn(5, 8), torch.arange(5) % 3)).shape
    torch.Size([5, 32])
    >>> sketcher.methods
    {'2.weight': 'hooks', '2.bias': 'hooks'}
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        params: Params = "last-2",
        loss: losses.LossName | losses.Function = "cross-entropy",
        targets: losses.Targets = "label",
        sketch_dim: int = 512,
        sketch: Kind | Literal["factored"] = "sparse-sign",
        nnz_per_row: int | None = None,
        factor_dim: int = 128,
        scale: Scale | torch.optim.Optimizer | None = None,
        device: str | torch.device = "auto",
        method: MethodName = "auto",
        check: int = 2,
        micro_batch: int | None = None,
        seed: int = 0,
        n_threads: int | None = None,
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        self.model = model = usable(model)
        self._check_eval_mode()
        self.loss, self.targets = loss, targets
        per_sample_loss = losses.make(loss, targets)
        self.method = checks.choice("method", method, get_args(MethodName))
        updates = scale is not None and not (isinstance(scale, Mapping) or callable(scale))
        if updates and method == "hooks":
            raise ValueError(
                "method: expected 'auto', 'vmap' or 'loop' with an optimizer as scale, which needs "
                "whole gradients, got 'hooks'"
            )
        self.check = checks.integer("check", check, 0)
        self.micro_batch = (
            None if micro_batch is None else checks.integer("micro_batch", micro_batch, 1)
        )
        self.n_threads = None if n_threads is None else checks.threads(n_threads)
        self._slots = slots(model, params)
        self.device = self._device_of_parameters(device)
        r = sum(slot.size for slot in self._slots.values())
        self.factor_dim = checks.integer("factor_dim", factor_dim, 1, 1 << 16)
        kinds = (*get_args(Kind), PartlyFactored.kind)
        family = KINDS.get(checks.choice("sketch", sketch, kinds), PartlyFactored)
        if checks.integer("sketch_dim", sketch_dim, family.least_out_dim) > r:
            raise ValueError(
                f"sketch_dim: expected at most the number of chosen parameters, {r}, "
                f"got {sketch_dim}"
            )
        if family is PartlyFactored:  # the first batch shows which weights are factored
            if nnz_per_row is not None or scale is not None:
                raise ValueError(
                    "sketch: expected another than 'factored' with nnz_per_row or scale, which "
                    "needs whole gradients"
                )
            made: Sketch = PartlyFactored(r, sketch_dim, seed=seed, factor_dim=self.factor_dim)
        else:
            made = make(sketch, r, sketch_dim, nnz_per_row=nnz_per_row, seed=seed)
        self._pass = BackwardPass(
            model,
            per_sample_loss,
            targets,
            self._slots,
            made,
            self._sum_type(),
            self.device,
            updates_of(scale, self._parameters()) if updates else {},
            self._scales(scale) if scale is not None and not updates else {},
        )
        self.forget()
        self._warn_of_fresh_adapters()

    def forget(self) -> None:
        """Forget what the batches so far have shown: the next one is treated as the first."""
        self._settled = not isinstance(self.sketch, PartlyFactored)  # whether Γ is known
        self._take_sketch(self.sketch if self._settled else self._factored([]))
        self._layout: Any = None  # `Batch.layout` of the batches so far
        self._attributes = identities(self.model)  # before a batch

    @property
    def names(self) -> list[str]:
        """The names of the chosen parameters, in the order of their coordinates."""
        return list(self._slots)

    @property
    def sketch(self) -> Sketch:
        """Γ. With "factored" it is known after the first batch."""
        return self._pass.sketch

    @property
    def factored(self) -> list[str]:
        """The names of the weights that are sketched as matrices, as the first batch settles."""
        first = {slot.offset: name for name, slot in self._slots.items()}
        blocks = self.sketch._blocks if isinstance(self.sketch, PartlyFactored) else {}
        return [first[offset] for offset in blocks]

    @property
    def n_params(self) -> int:
        """r, the length of a gradient."""
        return self.sketch.in_dim

    @property
    def methods(self) -> dict[str, str]:
        """How the gradient of each parameter is found: "hooks"; "vmap" or "loop", of the model or
        of the module whose name follows, as in "vmap layers.0.attention"; or "none" where the
        losses of the samples so far do not depend on it. Known after the first batch, and others
        where a later batch needs it."""
        if self._checked.methods is None:
            raise ValueError("methods: expected a batch to have been sketched before")
        return dict(self._checked.methods)

    def __call__(self, batch: Any, sample_ids: Any = None) -> torch.Tensor:
        """Sketch the gradients of a batch.

        Parameters
        ----------
        batch : tuple or dict
            (inputs (B, ...), labels (B, ...)), or a dict of inputs and "labels" (or "label"). In
            "causal-lm" labels may be missing: then they are the input ids where the attention mask
            is not 0, there and one token before.
        sample_ids : (B,) integers, optional
            Needed, and used, where targets are random. Labels are not needed then, but in
            "causal-lm", where -100 marks tokens without a loss.

        Returns
        -------
        (B, sketch_dim) tensor
            On the device of the parameters; float64 where all chosen ones are, else float32.

        Raises
        ------
        TypeError, ValueError
            Labels that do not fit the model's output, missing sample_ids, a module in training
            mode, NaN or Inf in the gradients, parameters whose per-sample gradients cannot be had
            by `method`, or differ from the loop's or from those of the whole batch.

        Examples
        --------
        >>> import torch
        >>> from skmm_fast.gradients import GradientSketcher
        >>> sketcher = GradientSketcher(torch.nn.Linear(8, 3).eval(), params="all", sketch_dim=16)
        >>> sketcher({"input": torch.randn(5, 8), "labels": torch.arange(5) % 3}).dtype
        torch.float32
        """
        self._check_eval_mode()
        samples = self._samples(batch)
        ids = ids_of(sample_ids, samples.size, needed=self.targets != "label")
        if not self._settled:
            self._settle(samples)
        Z = self._checked(samples, ids, self.micro_batch or self._default_micro_batch(samples))
        finite = Z.isfinite().all(1)
        if not finite.all():
            raise ValueError(
                "batch: expected finite gradients, got NaN or Inf first in sample "
                f"{int((~finite).nonzero()[0])}"
            )
        if samples.size > 1:
            self._layout = samples.layout
        return Z

    def fingerprint(self) -> dict[str, Any]:
        """Named fields, for JSON, that say what the sketches depend on. Those whose names begin
        with "advisory" may differ where a store is continued.

        docs/explanation/fingerprints.md says what the fields see of the model and of a user's loss.
        What they cannot see is named in "advisory unseen".
        """
        state, unseen = hidden_state(self.model, self._attributes)
        loss, unseen_of_loss = loss_of(self.loss, self.model)
        named = dict(self.model.named_parameters())
        updates = {name: update.parts for name, update in self._pass.updates.items()}
        scales = dict(self._pass.scales)
        of_sketch = {k: v for k, v in vars(self.sketch).items() if not k.startswith("_")}
        return {
            "params": [
                f"{name} {tuple(slot.shape)} {named[name].dtype}"
                for name, slot in self._slots.items()
            ],
            "coordinates": "parameters in this order, row-major",
            "weights": digest([*self.model.named_parameters(), *self.model.named_buffers()]),
            "architecture": architecture_of(self.model),
            "model_state": state,
            "adapters": adapters_of(self.model),
            "loss": loss,
            **({"scale": digest(updates or scales)} if updates or scales else {}),
            "targets": self.targets,
            "sketch": type(self.sketch).__name__,
            **of_sketch,
            "dtype": str(self._pass.dtype),
            "autocast": autocast_on(self.device),
            "method": self.method,
            "micro_batch": self.micro_batch,
            "methods": self._checked.first_methods and digest(self._checked.first_methods),
            "advisory versions": f"skmm-fast {__version__}, torch {torch.__version__}",
            "advisory device": str(self.device),
            "advisory unseen": [*unseen, *unseen_of_loss],
        }

    @property
    def _tolerance(self) -> float:
        """The relative error that a sketch may have, for the types and the device of the model."""
        return self._checked.tolerance

    def _restart(self) -> None:
        """Go back to the methods that the first batch settled, and prove the next batch.

        A store does so where a shard begins: what a shard holds does not depend on those before.
        """
        self._checked.restart()

    def _settle(self, samples: Batch) -> None:
        """Find the weights that the sketch takes as matrices, by the first samples of a batch."""
        few = samples.rows(slice(0, 2))
        matrices = matrices_of(self.model, self._slots, few, self.factor_dim)
        try:
            self._take_sketch(self._factored(matrices))
        except ValueError as error:
            raise ValueError(
                "sketch_dim: expected at most the number of coordinates that are left with "
                f"factor_dim={self.factor_dim}, got {self.sketch.out_dim} ({error}); raise "
                "factor_dim"
            ) from error
        self._settled = True

    def _factored(self, matrices: list[tuple[int, int, int]]) -> PartlyFactored:
        S = self.sketch
        return PartlyFactored(
            S.in_dim, S.out_dim, matrices=matrices, factor_dim=self.factor_dim, seed=S.seed
        )

    def _take_sketch(self, sketch: Sketch) -> None:
        """Use this sketch from the next batch on, which is treated as the first."""
        self._pass = replace(self._pass, sketch=sketch)
        self._checked = CheckedPass(self._pass, self.method, self.check, self.n_threads)

    def _samples(self, batch: Any) -> Batch:
        """The batch on the device of the parameters, with labels where the loss implies them."""
        samples = Batch.of(batch, self._layout).to(self.device)
        if isinstance(self._pass.loss, losses.CausalLM) and samples.labels is None:
            return samples.with_tokens_as_labels(losses.IGNORED)
        return samples

    def _lengths(self, batch: Any) -> Indices | None:
        """(B,) How many tokens of each sample have a loss; None where the loss has none."""
        return self._pass.loss.lengths(self._samples(batch).labels)

    def _default_micro_batch(self, samples: Batch) -> int:
        """As many samples as have INPUT_BYTES of inputs on the CPU; all of them on a GPU."""
        most = INPUT_BYTES * samples.size // max(1, samples.input_bytes)
        return samples.size if self.device.type != "cpu" else max(1, most)

    def _check_eval_mode(self) -> None:
        for name, module in self.model.named_modules():
            if module.training:
                raise ValueError(
                    f"model: expected eval mode, got training mode in {name or 'the model'}: "
                    "dropout and batch statistics would enter the gradients; call model.eval()"
                )

    def _parameters(self) -> dict[str, torch.nn.Parameter]:
        named = dict(self.model.named_parameters())
        return {name: named[name] for name in self._slots}

    def _scales(self, scale: Any) -> dict[str, torch.Tensor]:
        known = dict(self.model.named_parameters(remove_duplicate=False))
        return scales_of(scale, self._parameters(), known, self._sum_type())

    def _device_of_parameters(self, device: Any) -> torch.device:
        """The device of the parameters. Raises where it is not supported, or not `device`."""
        devices = {p.device for p in self._parameters().values()}
        if len(devices) > 1:
            raise ValueError(f"params: expected parameters on one device, got {devices}")
        found = devices.pop()
        if found.type not in ("cpu", "cuda"):
            raise ValueError(
                f"model: expected parameters on the CPU or a CUDA device, got {found}; "
                "model.to('cpu') moves them"
            )
        if device != "auto":
            try:
                expected = torch.device(device)
            except (RuntimeError, TypeError):
                raise ValueError(f"device: expected 'auto' or a device, got {device!r}") from None
            if expected.type != found.type or expected.index not in (None, found.index):
                raise ValueError(
                    f"device: expected that of the parameters, {found}, got {device}; "
                    "model.to(device) moves them"
                )
        return found

    def _sum_type(self) -> torch.dtype:
        """float64 where all chosen parameters are float64, else float32."""
        named = self._parameters()
        types = {p.dtype for p in named.values()}
        for name, p in named.items():
            if not (p.is_floating_point() or p.is_complex()):
                raise TypeError(
                    f"params: expected parameters that have gradients, got {name!r} of {p.dtype}, "
                    "as in quantised layers; params='trainable' leaves out those that are frozen"
                )
        if not types <= {torch.float32, torch.float64, torch.bfloat16}:
            raise TypeError(
                f"model: expected parameters of float32, float64 or bfloat16, got {types}; "
                "small gradients vanish in float16"
            )
        return torch.float64 if types == {torch.float64} else torch.float32

    def _warn_of_fresh_adapters(self) -> None:
        """Warns where a LoRA matrix B is 0 and its A is chosen: the gradient of A is then 0."""
        for name, p in self.model.named_parameters():
            name_a = name.replace("lora_B", "lora_A")
            if name_a != name and name_a in self._slots and not p.any():
                warnings.warn(
                    f"params: {name} is 0, as in a fresh adapter, so the gradient of {name_a} is 0 "
                    "for every sample; train a few steps first, or choose '*lora_B*' alone",
                    stacklevel=3,
                )
                return
