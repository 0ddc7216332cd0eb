"""Stage 1: random embeddings Γ of gradients, and stores of sketched gradients on disk."""
