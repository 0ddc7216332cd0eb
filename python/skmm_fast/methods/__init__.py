"""Stage 2: methods that choose n rows of a pool. `registry.py` lists them."""
