"""Results say which machine they are of, by where they lie, and the tables name it."""

from pathlib import Path

import pytest

import common
import table

BENCH = Path(__file__).parents[3] / "bench"
X86 = """processor\t: 0
vendor_id\t: {}
cpu family\t: {}
model\t\t: {}
model name\t: {}

processor\t: 1
cpu family\t: 99
"""
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"


@pytest.mark.parametrize(
    ("cpuinfo", "folder"),
    [
        (X86.format("AuthenticAMD", 25, 1, "AMD EPYC"), "amd-epyc-family-25-model-1"),
        (
            X86.format("AuthenticAMD", 25, 17, "AMD EPYC 9R14 96-Core Processor"),
            "amd-epyc-9r14-96-core-family-25-model-17",
        ),
        (
            X86.format("GenuineIntel", 6, 143, "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"),
            "intel-xeon-platinum-8481c-family-6-model-143",
        ),
        (ARM, "aarch64-implementer-0x41-part-0xd0c"),
    ],
)
def test_folders_tell_processors_apart(cpuinfo, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(common.platform, "processor", lambda: "")
    monkeypatch.setattr(common.platform, "machine", lambda: "aarch64")
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    assert common.folder_name(common.processor(path)) == folder


def test_a_system_without_cpuinfo(tmp_path):
    assert common.processor(tmp_path / "none")


def test_where_results_lie(monkeypatch):
    monkeypatch.setattr(common, "processor", lambda: "AMD EPYC, family 25, model 1")
    here, gpu = common.RESULTS, "NVIDIA H100 80GB HBM3"
    assert common.result_path("real") == here / "real.json"
    assert common.result_path("sketch") == here / "amd-epyc-family-25-model-1/sketch.json"
    assert common.result_path("cuda", gpu) == here / "nvidia-h100-80gb-hbm3/cuda.json"


def test_results_lie_where_they_belong():
    here = {path.stem for path in common.RESULTS.glob("*.json")}
    of_machines = {path.stem for path in common.RESULTS.glob("*/*.json")}
    assert here <= common.SAME_EVERYWHERE
    assert not of_machines & common.SAME_EVERYWHERE


def test_the_page_is_made_of_the_results():
    assert table.page() == (BENCH / "README.md").read_text(), "run python bench/table.py"


def test_the_page_names_each_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    for cpu in ("Intel(R) Xeon(R), family 6, model 85", "AMD EPYC, family 25, model 1"):
        monkeypatch.setattr(common, "processor", lambda cpu=cpu: cpu)
        common.save("sketch", [{"ns": 1.5}])
        common.save("cuda", [{"ms": 2.5}], gpu="NVIDIA H100")
    common.save("table1", [{"risk": 3.5}])
    found = [line for line in table.page().splitlines() if line.startswith(("## Stage", "**"))]
    assert [line.partition(":")[0] for line in found] == [
        "## Stage 1",
        "**amd-epyc-family-25-model-1**",
        "**intel-xeon-family-6-model-85**",
        "## Stage 1",
        "**nvidia-h100**",
    ]
    assert found[-1].startswith("**nvidia-h100**: NVIDIA H100, torch ")
    assert "; AMD EPYC, family 25, model 1, " in found[-1]
    assert (
        "![Table 1 of the paper: mean risk (bench/paper/gmm.py)](results/gmm.png)" in table.page()
    )
