"""Durations and sizes: what is read, what is refused, and that writing and reading agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.units import MAX_DURATION, MAX_SIZE, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("10s", 10.0),
        ("1.5s", 1.5),
        ("30m", 1800.0),
        ("2h", 7200.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("10 s", 10.0),
        ("1d", 86400.0),
        ("50us", 5e-5),
        ("50µs", 5e-5),
        ("0", 0.0),
        (" 0 ", 0.0),
        ("0s", 0.0),
        (60, 60.0),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_read_in_seconds(text: str | float, seconds: float) -> None:
    """Every unit, combinations of them, and bare numbers from code or a file."""
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 potato",
        "-5s",
        "10",
        "s",
        "1.s",
        ".5s",
        "1e3s",
        "10S",
        "10s!",
        "1s-2s",
        "٣s",
        "9" * 400 + "s",
        "4000d",
    ],
)
def test_a_text_that_is_no_duration_is_refused_with_an_example(text: str) -> None:
    """A number without a unit is refused as well: nobody should have to guess it."""
    with pytest.raises(ValueError, match="write for example"):
        parse_duration(text)


@pytest.mark.parametrize("value", [True, -1, -0.5, float("nan"), float("inf"), 10**400, None, [1]])
def test_a_value_that_is_no_duration_is_refused(value: object) -> None:
    """Truth values, negative and infinite numbers, and what is no number at all."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(value)  # type: ignore[arg-type]


def test_a_number_without_a_unit_is_answered_with_that_number() -> None:
    """The message shows how to write what was probably meant."""
    with pytest.raises(ValueError, match="write for example 60s or 60ms"):
        parse_duration("60")


def test_a_refusal_does_not_repeat_a_long_text() -> None:
    """One line stays one line."""
    with pytest.raises(ValueError) as caught:
        parse_duration("x" * 5000)
    assert len(str(caught.value)) < 200


@given(st.floats(min_value=0, max_value=MAX_DURATION, allow_nan=False))
def test_a_duration_that_is_written_is_read_back(seconds: float) -> None:
    """To a nanosecond, from zero to ten years."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1.1e-9, rel=1e-12)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.25, "250ms"), (5e-5, "50us"), (60, "1m"), (90, "1m30s"), (86400, "1d"), (1.5, "1.5s")],
)
def test_a_duration_is_written_short(seconds: float, text: str) -> None:
    """In the largest units that are exact."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 * 2**20),
        ("4 KiB", 4096),
        ("1.5KiB", 1536),
        ("2GB", 2 * 10**9),
        ("512B", 512),
        ("0", 0),
        (77, 77),
    ],
)
def test_a_size_is_read_in_bytes(text: str | int, size: int) -> None:
    """Binary and decimal units, and bare numbers."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "-5", "4 potatoes", "1e3", "KiB", "9" * 39, "9" * 400 + "GiB", True, None, float("inf")]
)
def test_what_is_no_size_is_refused_with_an_example(text: object) -> None:
    """A size that no machine has is none either."""
    with pytest.raises(ValueError, match="write for example 64MiB"):
        parse_size(text)  # type: ignore[arg-type]


@given(
    st.integers(min_value=0, max_value=2**52)
    | st.integers(0, 40).map(lambda n: n * 2**20)
    | st.just(MAX_SIZE)
)
def test_a_size_that_is_written_is_read_back(size: int) -> None:
    """Exactly."""
    assert parse_size(format_size(size)) == size
