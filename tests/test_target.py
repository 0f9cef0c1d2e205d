"""Addresses of databases: what they mean, and that their passwords are never shown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import UsageError
from daemon.target import MASK, parse_target, redact, shown


@pytest.mark.parametrize(
    ("url", "kind", "path"),
    [
        ("sqlite:///soakd.db", "sqlite", Path("soakd.db")),
        ("sqlite:///a/b.db", "sqlite", Path("a/b.db")),
        ("sqlite:////var/lib/soakd.db", "sqlite", Path("/var/lib/soakd.db")),
        ("sqlite:///with%20space%23.db", "sqlite", Path("with space#.db")),
        ("postgresql://me@host:5432/db?sslmode=require", "postgres", None),
        ("postgres://host/db", "postgres", None),
        ("postgresql://one:5432,two:5433/db", "postgres", None),
        ("null://", "null", None),
    ],
)
def test_an_address_says_which_database_it_is(url: str, kind: str, path: Path | None) -> None:
    """The scheme decides; a SQLite address also names its file."""
    assert parse_target(url) == (kind, url, path)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://host/db", "unknown scheme 'mysql'"),
        ("soakd.db", "no scheme"),
        ("", "no scheme"),
        ("sqlite:///", "names no file"),
        ("sqlite://soakd.db", "names no file"),
        ("sqlite:///folder/", "names no file"),
        ("sqlite:///nul%00.db", "names no file"),
        ("sqlite:///a.db?mode=ro", "nothing may follow the file"),
        ("sqlite:///a#b.db", "nothing may follow the file"),
        ("sqlite:///:memory:", "a run needs a file"),
        ("postgresql://[::1/db", "not an address"),
        ("postgresql://me:a b@host/db", "white space"),
        ("postgresql://host/db?sslmode=require&connect_timeout=3", "as postgres.connect_timeout"),
        ("postgres://host/db?application_name=", "as postgres.application_name"),
        ("null://host", "has no address"),
        ("null:///x?latency=constant", "settings go to null"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_what_to_write(url: str, says: str) -> None:
    """What is wrong, and an example of what is right."""
    with pytest.raises(UsageError, match=says) as caught:
        parse_target(url)
    assert "write" in str(caught.value) or "written" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@host/db",
        "me:hunter2@host/db",
        "host=h password=hunter2",
        "sqlite://me:hunter2@host/x?y",
        "postgresql://me:hunter2@[host/db",
        "hunter2",
        "postgresql://me:a hunter2@host/db",
    ],
)
def test_a_refused_address_does_not_show_its_password(url: str) -> None:
    """Not even when it was not understood."""
    with pytest.raises(UsageError) as caught:
        parse_target(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://me:hunter2@host/db", f"postgresql://me:{MASK}@host/db"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://me:hun/ter:2@x@host/db", f"postgresql://me:{MASK}@host/db"),
        ("postgresql://me@corp:hunter2@host/db", f"postgresql://me@corp:{MASK}@host/db"),
        (
            "postgresql://host/db?password=hunter2&sslmode=require",
            f"postgresql://host/db?password={MASK}&sslmode=require",
        ),
        ("host=h password=hunter2 user=me", f"host=h password={MASK} user=me"),
        ("password = 'hunter 2' user=me", f"password = {MASK} user=me"),
        (r"password='hun\'ter 2' user=me", f"password={MASK} user=me"),
        ("password='never closed hunter2", f"password={MASK}"),
        ("sslpassword=hunter2", f"sslpassword={MASK}"),
        ("SELECT 1; http://127.0.0.1:8080/metrics", "SELECT 1; http://127.0.0.1:8080/metrics"),
    ],
)
def test_passwords_are_masked_and_the_rest_is_kept(text: str, masked: str) -> None:
    """In addresses and in key=value pairs, wherever they stand in a text."""
    assert redact(text) == masked


@given(st.text(st.characters(blacklist_categories=("Zs", "Zl", "Zp", "Cc", "Cs")), min_size=1))
def test_no_password_of_an_address_survives(secret: str) -> None:
    """Whatever characters it is made of, escaped or not."""
    secret = f"<{secret}>"
    assert secret not in redact(f"cannot reach postgresql://me:{secret}@host/db today")


def test_a_password_with_a_space_is_not_shown() -> None:
    """Such an address cannot be used, but the settings can still be printed."""
    assert shown("postgresql://me:hun ter2@host/db") == f"postgresql://{MASK}"
    assert shown("sqlite:///my folder/a.db") == "sqlite:///my folder/a.db"
