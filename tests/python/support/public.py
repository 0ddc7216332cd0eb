"""The modules of the public interface that can be imported here."""

from importlib import import_module
from importlib.util import find_spec

# skmm_fast.gradients needs torch, which not every installation has.
MODULES = [
    import_module(name)
    for name in ("skmm_fast", "skmm_fast.gradients")
    if name == "skmm_fast" or find_spec("torch")
]
NAMES = {name: getattr(module, name) for module in MODULES for name in module.__all__}
