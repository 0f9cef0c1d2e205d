"""The settings of the workload `sql`, and who is left to make its load."""

import re
from typing import Any

import pytest

from daemon.config.settings import Settings
from daemon.control import plan
from daemon.errors import UsageError
from daemon.ops import OpSpec

READ, WRITE = OpSpec("r", "reader"), OpSpec("w", "writer")


def settings(**sections: Any) -> Settings:
    """Return settings of the workload."""
    return Settings.model_validate({"target": "null://", "workload": "sql", **sections})


def test_variables_are_numbers_where_they_look_like_it() -> None:
    given = settings(sql={"script": "select-only", "variables": "a=1, b = 2.5,c=x y,d=-7,e=t,f="})
    assert given.sql.options()["variables"] == {"a": 1, "b": 2.5, "c": "x y", "d": -7, "e": "t", "f": ""}
    assert [one.name for one in given.sql.options()["operations"]] == ["select-only"]


@pytest.mark.parametrize(
    ("ops", "left"),
    [
        ([READ, WRITE], (10, 5)),
        ([READ], (0, 5)),
        ([WRITE], (10, 0)),
        ([READ, WRITE._replace(weight=0)], (0, 5)),
    ],
)
def test_a_pool_without_operations_has_no_workers(ops: list[OpSpec], left: tuple[int, int]) -> None:
    pools = plan.fitted(settings(), ops).pools
    assert (pools.writers, pools.readers) == left


@pytest.mark.parametrize(
    ("pools", "ops", "line"),
    [
        (
            {"write_rate": 5},
            [READ],
            "pools.write_rate is 5, and the workload sql has nothing for writers here",
        ),
        (
            {"read_rate": 5},
            [WRITE],
            "pools.read_rate is 5, and the workload sql has nothing for readers here",
        ),
        ({"readers": 0}, [READ], "all operations here are for pools.readers, which is 0: raise it"),
        ({"writers": 0}, [WRITE], "all operations here are for pools.writers, which is 0: raise it"),
    ],
)
def test_a_load_that_nobody_would_make_is_refused(pools: Any, ops: list[OpSpec], line: str) -> None:
    with pytest.raises(UsageError, match=re.escape(line)):
        plan.fitted(settings(pools=pools), ops)
