"""What is a secret in a configuration: it stands there by the name of an environment variable only, never itself."""

import re

_NAME = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|signature|sas\b|sas$|(api|access|account|private|auth|shared).?key",
    re.I,
)
_ABOUT_SECRETS = re.compile(
    r"(providers?(\.(path|type))?|\.(type|file|path|enabled|class|regex|endpoint)|KeyRef\.[^.]+|\.secrets\.[^.]+)$",
    re.I,
)
"""Settings that say where secrets are, or how they are used, and hold none."""

_IN_A_VALUE = re.compile(
    r"""://[^/?\#@\s]*:[^/?\#@\s]+@                # https://user:password@host
      | ^jdbc:oracle:[^@]*/[^@]+@                  # jdbc:oracle:thin:user/password@host
      | (?:[?&;,\s(]|^|-D)[\w.-]*(?:passw|pwd|secret|token|sig(?:nature)?\b|access.?key)[\w.-]*=[^&;,\s)]""",
    re.I | re.X,
)
"""A value that has a secret in it: the user of a URL, one of its parameters, an option of Java."""


REJECTION = (
    "contains a password, key or token, which no configuration may hold; remove it, put it into an environment "
    "variable and name that variable under environment"
)


def is_secret_name(name: str) -> bool:
    """Whether a key is one of a secret."""
    return bool(_NAME.search(name)) and not _ABOUT_SECRETS.search(name)


def holds_secret(value: object) -> bool:
    """Whether a value has a secret in it, whatever its key."""
    return isinstance(value, str) and bool(_IN_A_VALUE.search(value))


def problem_of(name: str, value: object) -> str | None:
    """What is wrong with a free setting that is or has a secret; None where nothing is."""
    if is_secret_name(name) and isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
        return (
            "is a secret, which no configuration may hold; put it into an environment variable and name that variable "
            f"in the environment section next to it: {{{name}: NAME_OF_THE_VARIABLE}}"
        )
    return REJECTION if holds_secret(value) else None
