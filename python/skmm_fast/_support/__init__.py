"""Types, checks, files, scratch memory, progress: what the other rooms stand on.
It knows nothing of sketches or selections."""
