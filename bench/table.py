"""Writes README.md beside it from results/*.json and results/*/*.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import RESULTS, result_path
from default_report import of_ablation, of_auto, of_finetune, of_settings, of_targets
from quality import report

HERE = Path(__file__).parent
TITLES = {
    "quick": "Headline figures and their targets, at most (`make bench-quick`)",
    "sketch": "Stage 1: sketching (m = 512, float32 unless said; x: beside a read of G, sgemm)",
    "peers": "Stage 1: others (2 threads; Γ made beforehand where it says stored)",
    "levels": "Stage 1: instruction sets (the case; each set that the machine has)",
    "shapes": "Stage 1: ns per entry over shapes (2 threads, ζ = 8; x best N and r of the m)",
    "disk": "Stage 1: a memory map larger than memory (one pass each)",
    "busy": "Threads while other processes keep every core busy",
    "cuda": "Stage 1: on a GPU (m = 512, ζ = 8)",
    "quality": "Stage 1: singular values of embedded subspaces (k = 64, 60 seeds)",
    "gradients": "Gradients of models, from inputs to their sketch (m = 512, 2 threads)",
    "language": "Gradients of language models (Llama shapes, B = 8, m = 512, 2 threads)",
    "ragged": "Texts of many lengths: a budget of tokens beside batches of 8 (2 threads)",
    "factored": "Factored sketches beside sparse signs (m = 512; selections at m = 128)",
    "proofs": "Gradients: the proof of a batch (B = 64, m = 512; CPU seconds, one thread)",
    "store": "Gradients of 20 000 texts by the command line, killed once (m = 512, 2 threads)",
    "matching": "Stage 2: moment matching (float32, 2 threads; a read: torch's sum of Y)",
    "mean_matching": "Stage 2: gradient matching (float32, seconds, 2 threads)",
    "authors": "Stage 2: moment matching beside the authors' algorithm (N = 50 000, m = 128)",
    "select": "Stage 2: V-optimal selection (float32, 2 threads; x the certified lower bound)",
    "store16": "Selection from stores of float32 and float16 (2 threads)",
    "parquet": "`skmm-fast select -n 1%` on a Parquet file of embeddings (2 threads)",
    "ranks": "Stage 2: W processes of one thread beside one of W threads",
    "scale": "Stage 2: a whole `select` from a memory map (2 threads)",
    "plan": "Stage 2: what `plan` expects of `select` (2 threads; the best of 3)",
    "cuda_select": "Stage 2: selection on a GPU",
    "selectors": "Stage 2: other packages, each on its own objective (m = 64, n = 100)",
    "draw": "Stage 2: draws",
    "checks": "Stage 2: checks of arguments and labels (seconds; share of `select`; 2 threads)",
    "baselines": "Baselines (N = 50 000, m = 128, n = 1 000, 100 classes, 20 epochs; 2 threads)",
    "table1": "Table 1 of the paper: mean risk (bench/paper/gmm.py)",
    "table1_orders": "Table 1 of the paper: order of its methods, there and here",
    "table1_claims": "Table 1 of the paper: V-optimal selection beside others, ratio of mean risks",
    "heads": "When gradients mislead: the demo's task, n = 100 of 997",
}
PICTURES = {"scale": "scale.png", "table1": "gmm.png"}
HEAD = """# Benchmarks

Made by `make bench` and `make bench-quality` from `results/`; medians, ratios within one run. Notes on limits and what was tried: [NOTES.md](NOTES.md).

Results that depend on the machine are in `results/<machine>/`, of the processor's brand, family and model or of the GPU's name, and the tables below name it; those of `amd-epyc-avx512` come from a processor whose family was not noted. What does not depend on the machine, but for the seconds in it (what selections are worth, quality of sketches), is in `results/` itself. The instruction set of a run is that which its heading names; only where the table is of instruction sets does a row name its own."""  # noqa: E501


def cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(row.get(c)) for c in columns) + " |" for row in rows]
    return "\n".join(lines)


def rows_of(name: str) -> list[dict[str, Any]] | None:
    path = result_path(name)
    return json.loads(path.read_text())["rows"] if path.exists() else None


def of_each_machine(name: str) -> list[str]:
    """What the results of this name say, one machine after another."""
    parts = []
    for path in sorted([*RESULTS.glob(f"{name}.json"), *RESULTS.glob(f"*/{name}.json")]):
        result = json.loads(path.read_text())
        m = result["machine"]
        about = f"{m['cpu']}, {m['cores']} cores, {m['isa']}, NumPy {m['numpy']}, {m['date']}."
        if "gpu" in m:
            about = f"{m['gpu']}, torch {m['torch']}; {about}"
        if path.parent != RESULTS:
            about = f"**{path.parent.name}**: {about}"
        parts += [about, table(result["rows"])]
        if name in PICTURES:
            picture = path.with_name(PICTURES[name]).relative_to(RESULTS)
            parts.append(f"![{TITLES[name]}](results/{picture})")
    return [f"## {TITLES[name]}", *parts] if parts else []


def real_tasks() -> list[str]:
    real = rows_of("real")
    return ["## Every method on real tasks", *report(real)] if real else []


def default_choice() -> list[str]:
    rows = rows_of("auto")
    title = "## The default beside uniform draws, with flaws in the pool"
    return [title, *of_auto(rows)] if rows else []


def of_transformers() -> list[str]:
    rows = rows_of("finetune")
    title = "## The default in finetunes of a pretrained transformer"
    return [title, *of_finetune(rows)] if rows else []


def of_default() -> list[str]:
    rows = rows_of("ablation")
    title = "## Which settings of the default matter"
    return [title, *of_ablation(rows)] if rows else []


def of_paper() -> list[str]:
    rows = rows_of("settings")
    return ["## Settings of the paper's methods", *of_settings(rows)] if rows else []


def for_targets() -> list[str]:
    rows = rows_of("targets")
    title = "## Selecting for 100 rows of a target"
    return [title, *of_targets(rows)] if rows else []


def page() -> str:
    parts = [HEAD]
    for name in TITLES:
        parts += of_each_machine(name)
    parts += [*default_choice(), *of_transformers(), *of_default()]
    parts += [*for_targets(), *real_tasks(), *of_paper()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (HERE / "README.md").write_text(page())
