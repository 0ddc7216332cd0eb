"""The modules of the public interface that can be imported here."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

# skmm_fast.gradients needs torch, which not every installation has.
MODULES = [
    import_module(name)
    for name in ("skmm_fast", "skmm_fast.gradients")
    if name == "skmm_fast" or find_spec("torch")
]
NAMES = {
    name: item
    for module in MODULES
    for name, item in vars(module).items()
    if name in getattr(module, "__all__", vars(module))
    and (name == "__version__" or not (name.startswith("_") or isinstance(item, ModuleType)))
}
