"""The names of the forms that a report can take; loads nothing, for the command line's help."""

from typing import Literal

Form = Literal["html", "md", "json", "csv", "junit"]
