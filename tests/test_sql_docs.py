"""The page about the workload `sql`: its examples run on both databases, and its tables leave nothing out."""

import re
from pathlib import Path
from random import Random

import pytest

from daemon.backends.base import Backend
from daemon.config.operations import read_operations
from daemon.errors import UsageError
from daemon.ops import Transaction, Tx
from daemon.workloads.sql.generators import GENERATORS
from tests.test_backend_contract import postgres_backend, sqlite_backend
from tests.test_backend_script import on
from tests.test_sql_workload import look, made

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "workloads" / "sql.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
ERRORS = re.findall(r"^soakd: error: (.*)$", PAGE, re.MULTILINE)
FILES = {"script": "deposit.sql", "yaml": "shop.yaml", "tables": "tables.sql"}
TIMES = 30


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A backend of an empty database."""
    if request.param == "sqlite":
        return sqlite_backend(tmp_path / "docs.db")
    return postgres_backend(request.getfixturevalue("database"))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The example's YAML file, with its script beside it."""
    (tmp_path / "deposit.sql").write_text(EXAMPLES["script"])
    path = tmp_path / "shop.yaml"
    path.write_text(EXAMPLES["yaml"])
    return path


async def fill(tx: Tx) -> None:
    """Make the example's tables, with their rows."""
    for statement in EXAMPLES["tables"].split(";")[:-1]:
        await tx.execute(statement)


def test_the_examples_are_files_that_can_be_run() -> None:
    assert {name: (ROOT / "examples" / "sql" / file).read_text() for name, file in FILES.items()} == EXAMPLES


def test_the_examples_run(backend: Backend, shop: Path) -> None:
    """Each operation many times, and what it should do is done."""

    async def check(backend: Backend) -> None:
        await backend.transact(Transaction(fill, read_only=False))
        operations, variables = read_operations(shop, None, {})
        workload = made(operations, backend, await look(backend, operations, variables, 1))
        assert {spec.name: spec.pool for spec in workload.ops} == {
            "order_by_id": "reader",
            "orders_of_customer": "reader",
            "place_order": "writer",
            "deposit": "writer",
        }
        rng = Random(1)
        for number in range(len(operations)):
            for _ in range(TIMES):
                await backend.transact(workload.transaction(number, 0, rng))

        async def sums(tx: Tx) -> list[int]:
            wanted = (
                "FROM deposits",
                "FROM orders WHERE note <> ''",
                "FROM customers WHERE balance < 1000",
            )
            return [int((await tx.execute(f"SELECT count(*) {what}"))[0][0]) for what in wanted]

        deposits, orders, poorer = (await backend.transact(Transaction(sums))).result
        assert deposits == orders == TIMES
        assert poorer > TIMES / 2

    on(backend, check)


def test_the_mistakes_shown_are_told_in_these_words(shop: Path, database: str) -> None:
    """Those in files; one of them is found by the database."""
    unsupported, column, exponent, variable = ERRORS
    script = shop.parent / "deposit.sql"

    def told(path: Path, before: str, after: str) -> str:
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))
        with pytest.raises(UsageError) as caught:
            read_operations(path, None, {})
        path.write_text(text)
        return str(caught.value).replace(f"{shop.parent}/", "")

    assert told(script, "\\set amount", "\\setshell amount") == unsupported
    assert told(shop, "exponent: 1.1", "exponent: 0") == exponent
    assert told(script, "VALUES (:customer, :amount)", "VALUES (:customer, :amnt)") == variable

    shop.write_text(shop.read_text().replace("orders WHERE customer =", "orders WHERE custmer ="))

    async def check(backend: Backend) -> None:
        await backend.transact(Transaction(fill, read_only=False))
        operations, variables = read_operations(shop, None, {})
        with pytest.raises(UsageError) as caught:
            await look(backend, operations, variables, 1)
        assert str(caught.value).replace(f"{shop.parent}/", "") == column

    on(postgres_backend(database), check)


def test_every_generator_is_described_with_its_keys() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]+\|([^|]*)\|$", PAGE, re.MULTILINE))
    assert set(rows) == set(GENERATORS)
    for name, generator in GENERATORS.items():
        keys = [key for key in re.findall(r"`(\w+)`", rows[name]) if key in generator._fields]
        assert list(dict.fromkeys(keys)) == list(generator._fields)
