"""Stand-ins for libraries that the development environment has not: what of them the adapters use,
with the signatures that they publish."""

import importlib
import sys
import types
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

X, Y = TypeVar("X"), TypeVar("Y")


class ProcessingStage(ABC, Generic[X, Y]):  # nemo_curator.stages.base, 1.4.0
    name = "ProcessingStage"
    batch_size = 1

    @abstractmethod
    def process(self, task): ...

    def inputs(self):
        return [], []

    def outputs(self):
        return [], []

    def process_batch(self, tasks):
        for task in tasks:
            attributes, columns = self.inputs()
            assert all(hasattr(task, name) for name in attributes)
            assert set(columns) <= set(task.get_columns())
        return [self.process(task) for task in tasks]


@dataclass
class DocumentBatch:  # nemo_curator.tasks, 1.4.0
    dataset_name: str
    data: Any
    _stage_perf: list = field(default_factory=list)
    _metadata: dict = field(default_factory=dict)
    task_id: str = field(init=False, default="")

    def get_columns(self):
        return list(getattr(self.data, "column_names", ())) or list(self.data.columns)


class Selector:  # data_juicer.ops.base_op, 1.6.1
    def __init__(self, *args, **kwargs):
        self.text_key = kwargs.get("text_key", "text")

    def process(self, dataset):
        raise NotImplementedError

    def run(self, dataset, *, exporter=None, tracer=None):
        return self.process(dataset)


class Blocks:
    """What of a ray.data.Dataset (2.60) is used, with its blocks in an order of their own."""

    def __init__(self, batches):
        self.batches = batches

    def count(self):
        return sum(len(batch["id"]) for batch in self.batches)

    def iter_batches(self, batch_format):
        assert batch_format == "numpy"
        yield from self.batches

    def map_batches(self, actor, *, fn_constructor_args=(), fn_constructor_kwargs=None, **_):
        made = actor(*fn_constructor_args, **(fn_constructor_kwargs or {}))
        return Blocks([made(batch) for batch in self.batches])


class Registry:  # data_juicer.utils.registry, 1.6.1
    def __init__(self):
        self.modules = {}

    def register_module(self, module_name):
        def register(module_cls):
            self.modules[module_name], module_cls._name = module_cls, module_name
            return module_cls

        return register


MODULES = {
    "nemo_curator": {
        "stages.base": {"ProcessingStage": ProcessingStage},
        "tasks": {"DocumentBatch": DocumentBatch},
    },
    "data_juicer": {"ops.base_op": {"Selector": Selector, "OPERATORS": Registry()}},
}


def put_in_place(monkeypatch, package):
    """Until the end of a test, stand-ins are imported in place of a package."""
    for name, contents in MODULES[package].items():
        module = types.ModuleType(f"{package}.{name}")
        vars(module).update(contents)
        full = ""
        for part in module.__name__.split("."):
            full = f"{full}.{part}".lstrip(".")
            whole = full == module.__name__
            monkeypatch.setitem(sys.modules, full, module if whole else types.ModuleType(full))


def put_in_place_of_absent(monkeypatch, package):
    """As `put_in_place`, where the package itself cannot be imported."""
    try:
        for name in MODULES[package]:
            importlib.import_module(f"{package}.{name}")
    except ImportError:
        put_in_place(monkeypatch, package)


def forget(adapter, made):
    """Let an adapter make its class `made` anew, of what is then imported."""
    vars(adapter).pop(made, None)
    operators = sys.modules.get("data_juicer.ops.base_op")
    if operators is not None:
        operators.OPERATORS.modules.pop("skmm_selector", None)
