"""The one exception that is meant for the user's eyes."""


class UserError(Exception):
    """Something that the user can mend. The message names the file, the row or the value, and the remedy."""
