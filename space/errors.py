"""The one exception a user reads: a sentence, and a hint that names the fix."""


class UserError(Exception):
    """Something the user can put right.

    `message` says what is wrong, `hint` names the command or the change that mends it.
    It is shown at the edges (UI column, command line) without a traceback; every other
    exception is a bug and keeps its traceback.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
