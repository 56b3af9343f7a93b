"""Partners' lists: one reader per format, and the guards that judge what was read.

Nothing is imported here: the settings want the vocabulary (`declaration`) and not every reader with it.
"""
