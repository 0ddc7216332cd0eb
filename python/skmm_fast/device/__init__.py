"""Torch tensors on an accelerator: the same Γ there, and passes over rows (needs torch)."""
