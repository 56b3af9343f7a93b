"""What goes wrong with a shard."""


class ShardError(Exception):
    """A shard cannot be used; the message names file, place and remedy, and never holds a value of a row."""
