"""What goes wrong when a copy is cleaned."""


class CleanError(Exception):
    """A file or an option cannot be used; the message names it and what to do, and never a value of a row."""
