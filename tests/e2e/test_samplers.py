"""Sampling beside a run: it never holds the load up, and it lives through what the load lives through."""

from urllib.parse import urlsplit
from uuid import uuid4

from tests.e2e.conftest import Start
from tests.e2e.process import Samples, settings, total
from tests.servers import LocalServer, Server

SMALL = ("--writers", "2", "--readers", "1", "--sample-interval", "200ms")


def runs(found: Samples, outcome: str) -> float:
    return total(found, "soakd_sampler_runs_total", "collector=postgres", f"outcome={outcome}")


def test_a_load_runs_although_no_sample_can_be_taken(soakd: Start, database: str, postgres: Server) -> None:
    """The role may have as many sessions as the load needs, and not one more.

    Nor may checks of invariants, which begin at any time, take those of the books at the end.
    """
    role, name = f"user_{uuid4().hex[:8]}", urlsplit(database).path[1:]
    postgres.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 2")
    postgres.execute(f'GRANT CREATE ON DATABASE "{name}" TO {role}')
    try:
        target = postgres.database_url(name, user=role)
        often = settings(samplers__timeout="400ms", invariants__interval="100ms")
        run = soakd("--target", target, "--duration", "0", *SMALL, *often)
        run.committed(50)
        off = run.event("sampler.off")
        assert (off["level"], off["collector"] in ("postgres", "statements")) == ("warning", True)
        assert "no connection left" in off["reason"]
        found = run.reaches(
            lambda seen: total(seen, "soakd_sampler_enabled") == 1,
            "all collectors but the host's switched off",
        )
        assert runs(found, "error") == 3
        assert runs(found, "ok") == 0
        assert not [key for key in found if key[0].startswith("soakd_pg_")]
        rows = total(found, "soakd_rows_total", "outcome=committed")
        run.committed(int(rows) + 50)
        run.process.terminate()
        assert run.wait() == 0, run.stderr
        assert len(run.events("sampler.off")) == 2
    finally:
        postgres.execute(f"DROP OWNED BY {role} CASCADE", database=name)
        postgres.execute(f"DROP ROLE {role}")


def test_samples_go_on_after_an_outage(soakd: Start, private_postgres: LocalServer) -> None:
    """While the server is away they fail, which is held against nobody; a good one is kept for a while."""
    run = soakd("--target", private_postgres.url, "--duration", "0", *SMALL)
    run.reaches(lambda seen: runs(seen, "ok") >= 2, "two samples")
    private_postgres.stop("immediate")
    down = run.reaches(
        lambda seen: runs(seen, "error") >= 2 and not total(seen, "soakd_pg_sessions_limit"), "stale samples"
    )
    assert total(down, "soakd_target_up") == 0
    assert total(down, "soakd_pg_transactions_total") > 0
    private_postgres.start()
    good = runs(down, "ok")
    up = run.reaches(lambda seen: runs(seen, "ok") >= good + 2, "samples after the outage")
    assert total(up, "soakd_sampler_enabled") == 3  # postgres, statements, host
    assert total(up, "soakd_pg_sessions_limit") > 0
    assert not run.events("sampler.off")
    run.process.terminate()
    assert run.wait() == 0, run.stderr


def test_no_samples_are_taken_where_that_is_turned_off(soakd: Start, database: str) -> None:
    """Not even a connection is made for them."""
    run = soakd("--target", database, "--duration", "0", "--sample-interval", "0")
    run.committed(50)
    found = run.scrape()
    assert not [key for key in found if key[0].startswith(("soakd_pg_", "soakd_sampler_"))]
    run.process.terminate()
    assert run.wait() == 0, run.stderr
    assert run.summary["environment"]["server_settings"] is None
