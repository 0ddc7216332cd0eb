"""Types, checks, files, scratch memory and progress bars, which all other packages use.

Nothing here knows of sketches or selections.
"""
