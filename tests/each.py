"""One test of many things: thousands of tests of a line each take longer to manage than to run."""

from collections.abc import Callable, Collection
from typing import TypeVar

T = TypeVar("T")


def for_each(
    things: Collection[T], name: Callable[[T], str] = str
) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Make one test of a check of each thing; it tells all that fail, by name, and why."""

    def made(check: Callable[[T], None]) -> Callable[[], None]:
        def test() -> None:
            assert things
            wrong = {}
            for one in things:
                try:
                    check(one)
                except AssertionError as error:
                    wrong[name(one)] = str(error)
            assert not wrong

        test.__name__, test.__qualname__, test.__doc__ = check.__name__, check.__qualname__, check.__doc__
        test.__module__ = check.__module__
        return test

    return made
