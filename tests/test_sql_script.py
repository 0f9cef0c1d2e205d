"""pgbench's scripts: what is read, what is refused, and with which words."""

import re

import pytest

from daemon.errors import UsageError
from daemon.workloads.sql.commands import (
    Elif,
    Else,
    Endif,
    EndPipeline,
    If,
    Run,
    Set,
    Sleep,
    StartPipeline,
)
from daemon.workloads.sql.script import operation, parse_script
from daemon.workloads.sql.statement import Statement


def script(text: str) -> list[object]:
    """Return the kinds of the commands of a script, statements as their text."""
    return [
        one.statement.text("?") if isinstance(one, Run) else type(one).__name__
        for one in parse_script(text, "s.sql")
    ]


def only(text: str) -> Statement:
    """Return the one statement of a script."""
    (command,) = parse_script(text, "s.sql")
    assert isinstance(command, Run)
    return command.statement


def test_statements_and_commands_are_told_apart() -> None:
    text = """
-- a comment; with a semicolon and a :variable
\\set a 1
\\set b :a + \\
       1
SELECT 1;
  SELECT 'it''s; not :a', ":b", $$ ; :c $$, $x$ \\set $$ $x$, E'\\';' -- and so on;
    /* ; /* this */ :d */ ;  ; ;
\\sleep :a ms
SELECT 2
\\sleep 10
SELECT 3"""
    assert script(text) == [
        "Set", "Set", "SELECT 1",
        """SELECT 'it''s; not :a', ":b", $$ ; :c $$, $x$ \\set $$ $x$, E'\\';' \n    /* ; /* this */ :d */""",
        "Sleep", "SELECT 2", "Sleep", "SELECT 3",
    ]  # fmt: skip


def test_variables_become_parameters_in_their_order() -> None:
    found = only("UPDATE t SET a = a + :delta, b = :größe::int, c = ':no' WHERE id = :id AND x[1:2] > :id;")
    assert found.names == ("delta", "größe", "id", "id")
    assert found.text("?") == "UPDATE t SET a = a + ?, b = ?::int, c = ':no' WHERE id = ? AND x[1:2] > ?"


def test_a_percent_sign_is_doubled_only_where_the_marks_have_one() -> None:
    assert only("SELECT 1 % 2;").text("%s") == "SELECT 1 % 2"
    assert only("SELECT :a % 2 WHERE b LIKE '%';").text("%s") == "SELECT %s %% 2 WHERE b LIKE '%%'"
    assert only("SELECT :a % 2;").text("?") == "SELECT ? % 2"


def test_a_semicolon_in_brackets_ends_nothing() -> None:
    assert script("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3;") == [
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
        "SELECT 3",
    ]


def test_every_command_knows_its_line() -> None:
    text = (
        "\\set a 1\n\n\\if :a > 1\r\n  \\sleep 5 us\n\\elif :a\n\\else\n\n SELECT\n 1\n\\gset p_\n\\endif\n"
    )
    text += "\\startpipeline\nSELECT 1;\n\\endpipeline"
    found = parse_script(text, "s.sql")
    assert [(type(one), one.line) for one in found] == [
        (Set, 1), (If, 3), (Sleep, 4), (Elif, 5), (Else, 6), (Run, 8), (Endif, 11),
        (StartPipeline, 12), (Run, 13), (EndPipeline, 14),
    ]  # fmt: skip
    assert found[2] == Sleep(4, 5, 1e-6)


def test_gset_and_aset_take_the_result_of_the_statement_before() -> None:
    rows = parse_script(
        "SELECT 1 AS a \\gset\nSELECT 2 AS b; \\gset p_\nSELECT 3 AS c \\aset\nSELECT 4;", "s"
    )
    assert [(one.into, one.exactly) for one in rows if isinstance(one, Run)] == [
        ("", True), ("p_", True), ("", False), (None, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "writes"),
    [
        ("SELECT 1", False), ("WITH x AS (SELECT 1) SELECT * FROM x", False), ("(VALUES (1))", False),
        ("SELECT replace('update', 'a', 'b')", False), ("EXPLAIN SELECT 1", False),
        ("SELECT 1 FOR SHARE", True),
        ("SELECT 1 FOR NO KEY UPDATE", True), ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", True),
        ("SELECT nextval('s')", True), ("SELECT 1 INTO t", True), ("INSERT INTO t VALUES (1)", True),
        ("CALL f()", True), ("VACUUM", True), ("/* SELECT */ DELETE FROM t", True),
    ],
)  # fmt: skip
def test_statements_that_may_write_are_recognised(text: str, writes: bool) -> None:  # noqa: FBT001
    assert only(text).writes is writes


def shape(text: str) -> tuple[str, bool, int]:
    """Return an operation's kind, whether it is one transaction, and its number of commands."""
    found = operation("o", parse_script(text, "s.sql"), "s.sql")
    return found.kind, found.whole, len(found.commands)


def test_one_transaction_around_everything_becomes_the_operation_s_own() -> None:
    assert shape("\\set a 1\nBEGIN; UPDATE t SET a = 1; SELECT 1; END; \\set b 2\n") == ("write", True, 4)
    assert shape("begin transaction; SELECT 1; commit work;") == ("read", True, 1)
    assert shape("START TRANSACTION; SAVEPOINT s; ROLLBACK TO s; COMMIT;") == ("write", True, 2)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "serializable"),
        ("start transaction isolation level repeatable read", "repeatable read"),
        ("BEGIN ISOLATION LEVEL READ UNCOMMITTED", "read committed"),
        ("BEGIN IMMEDIATE TRANSACTION", ""),
    ],
)
def test_the_level_that_begin_names_is_kept(text: str, level: str) -> None:
    found = operation("o", parse_script(f"{text}; SELECT 1; END;", "s.sql"), "s.sql")
    assert (found.whole, found.isolation, len(found.commands)) == (True, level, 1)


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN; UPDATE t SET a = 1; ROLLBACK;",
        "BEGIN READ ONLY; UPDATE t SET a = 1; END;",
        "BEGIN; UPDATE t SET a = 1; END; SELECT 1;",
        "\\sleep 1 ms\nBEGIN; UPDATE t SET a = 1; END;",
        "\\startpipeline\nBEGIN; UPDATE t SET a = 1; END;\n\\endpipeline",
        "UPDATE t SET a = 1; SELECT 1;",
    ],
)
def test_other_scripts_begin_and_end_their_transactions_themselves(text: str) -> None:
    commands = parse_script(text, "s.sql")
    assert shape(text) == ("write", False, len(commands))


REFUSED = {
    "\\shell ls": "s.sql:1: \\shell is not supported; run it beside soakd",
    "SELECT 1;\n\\setshell a echo 1": "s.sql:2: \\setshell is not supported; give the value with",
    "\\setrandom a 1 10": "s.sql:1: \\setrandom is not supported; write \\set name random(low, high)",
    "\\syncpipeline": "s.sql:1: \\syncpipeline is not supported; write \\endpipeline and \\startpipeline",
    "SELECT 1 \\; SELECT 2;": "s.sql:1: \\; is not supported; write ; alone",
    "\\foo": "s.sql:1: \\foo is not supported; there are \\set, \\sleep, \\if,",
    "\\set": "s.sql:1: \\set goes with a variable and an expression",
    "\\set 1a 5": "s.sql:1: \\set goes with a variable and an expression",
    "\\set a 1 +": "s.sql:1: the expression ends too early",
    "\n\n\\set a foo(1)": "s.sql:3: there is no function foo",
    "\\sleep": "s.sql:1: \\sleep goes with a number or a :variable, and us, ms or s",
    "\\sleep 1.5 s": "s.sql:1: \\sleep goes with a number",
    "\\sleep 1 h": "s.sql:1: \\sleep goes with a number",
    "\\if 1\nSELECT 1;": "s.sql:1: this \\if has no \\endif",
    "\\if 1\n\\else\nSELECT 1;": "s.sql:2: this \\else has no \\endif",
    "\\else": "s.sql:1: \\else has no \\if",
    "\\if 1\n\\else\n\\elif 1\n\\endif": "s.sql:3: \\elif has no \\if",
    "\\endif": "s.sql:1: \\endif has no \\if",
    "\\endif x": "s.sql:1: \\endif takes nothing behind it, but there is 'x'",
    "\\startpipeline\nSELECT 1;": "s.sql:1: this \\startpipeline has no \\endpipeline",
    "\\startpipeline\n\\startpipeline": "s.sql:2: \\startpipeline inside another one",
    "\\endpipeline": "s.sql:1: \\endpipeline has no \\startpipeline",
    "\\startpipeline\n\\if 1\n\\endpipeline": "s.sql:3: \\endpipeline has no \\startpipeline",
    "\\startpipeline\nSELECT 1 \\gset": "s.sql:2: \\gset has no result to take inside \\startpipeline",
    "\\gset": "s.sql:1: \\gset must follow a SQL statement",
    "SELECT 1 \\gset\n\\gset": "s.sql:2: \\gset must follow a SQL statement",
    "SELECT 1 \\gset a-b": "s.sql:1: \\gset goes with a prefix for its variables, not with 'a-b'",
    "SELECT 'open;\n": "s.sql:1: this ' is never closed",
    "SELECT 1;\nSELECT $a$ $$;": "s.sql:2: this $a$ is never closed",
    "/* /* */ SELECT 1;": "s.sql:1: this /* is never closed",
    'SELECT "a;': 's.sql:1: this " is never closed',
    "SELECT $1;": "s.sql:1: $1: write a :variable instead of a number",
    "COPY t FROM STDIN;": "s.sql:1: COPY from or to the client is not supported; use INSERT or SELECT",
    "PREPARE TRANSACTION 'x';": "s.sql:1: PREPARE TRANSACTION is not supported",
    "SELECT 1; 5;": "s.sql:1: this is not a SQL statement",
    "SELECT " + ", ".join([":a"] * 256): "s.sql:1: more than 255 variables in one statement",
    "": "s.sql: there is no SQL statement in it",
    "\\set a 1\n-- SELECT 1;": "s.sql: there is no SQL statement in it",
    "BEGIN; SELECT 1;": "s.sql:1: this transaction does not end; add END;",
    "SELECT 1;\nEND;": "s.sql:2: the transaction has not begun",
    "BEGIN;\nBEGIN;": "s.sql:2: the transaction has begun already",
    "\\if 1\nBEGIN;\n\\endif\nEND;": "s.sql:2: a transaction cannot begin or end inside \\if",
    "BEGIN;\nCOMMIT AND CHAIN;": "s.sql:2: only COMMIT, END, ROLLBACK or ABORT can end a transaction here",
}


@pytest.mark.parametrize(("text", "line"), REFUSED.items())
def test_what_cannot_be_run_is_refused_with_file_and_line(text: str, line: str) -> None:
    with pytest.raises(UsageError, match=re.escape(line)) as caught:
        operation("o", parse_script(text, "s.sql"), "s.sql")
    assert "\n" not in str(caught.value)
