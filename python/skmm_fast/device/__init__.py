"""Work on torch tensors on an accelerator (needs torch): sketches with the core's Γ, and passes
over the rows of Z."""
