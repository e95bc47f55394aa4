"""Where lines go, in which form, and what is bound to them."""

import json
import logging
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from bank_pipeline.config import LogFormat, LogLevel, Settings
from bank_pipeline.logs.setup import set_up_process, set_up_run, set_up_service, take_down
from bank_pipeline_tests.logs.lines import Lines

CANARY = "canary-5a1e"


def settings(**named: Any) -> Settings:
    return Settings(_env_file=None, **named)


def test_lines_are_json_where_nobody_looks_on(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_process(settings(), usual_level="info")
    logging.getLogger("bank_pipeline.x").info("hello %s", "you", extra={"ms": 3})
    logging.getLogger("of.others").debug("unheard")
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)

    assert told.pop("at").endswith("Z")
    assert told == {"level": "info", "logger": "bank_pipeline.x", "event": "hello you", "ms": 3}


@pytest.mark.parametrize(
    ("named", "is_json"),
    [
        ({"log_format": LogFormat.CONSOLE}, False),
        ({"log_format": LogFormat.JSON}, True),
        ({"log_format": LogFormat.AUTO}, False),
    ],
)
def test_a_terminal_gets_lines_for_people_unless_told_otherwise(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    named: dict[str, Any],
    is_json: bool,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    set_up_process(settings(**named), usual_level="info")
    logging.getLogger("bank_pipeline.x").warning("hello\x1b[2J\nworld")
    said = capsys.readouterr().err

    assert said.startswith("{") == is_json
    assert len(said.splitlines()) == 1
    assert "\x1b[2J" not in said


def test_the_level_is_the_settings_else_the_usual_one() -> None:
    root = logging.getLogger()
    for named, usual, level in (
        ({}, "warning", logging.WARNING),
        ({}, "info", logging.INFO),
        ({"log_level": LogLevel.ERROR}, "info", logging.ERROR),
    ):
        set_up_process(settings(**named), usual_level=usual)
        assert root.level == level
    set_up_process(None, usual_level="warning")
    assert root.level == logging.WARNING


def test_who_listens_to_more_does_not_have_it_written(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_process(settings(), usual_level="warning")
    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger("bank_pipeline.x").info("heard by others")

    assert capsys.readouterr().err == ""


def test_set_up_twice_a_line_is_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        set_up_process(settings(), usual_level="info")
        set_up_run(settings())
    logging.getLogger("bank_pipeline.x").warning("hello")

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_process_of_dagsters_writes_our_lines_and_leaves_its_own_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = [*logging.getLogger().handlers]
    for _ in range(2):
        set_up_run(settings())
    logging.getLogger("bank_pipeline.x").info("ours")
    logging.getLogger("dagster").warning("its own")
    [line] = capsys.readouterr().err.splitlines()

    assert json.loads(line)["event"] == "ours"
    assert logging.getLogger().handlers == before
    take_down()
    logging.getLogger("bank_pipeline.x").info("unheard")
    assert capsys.readouterr().err == ""


def test_what_is_bound_is_in_every_line_and_in_no_other_thread() -> None:
    lines = Lines()

    def work(number: int) -> None:
        with bound_contextvars(sync_run_id=f"run-{number}", unknown=None):
            for _ in range(50):
                lines.log.info("at work", extra={"number": number})
        lines.log.info("after", extra={"number": number})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    found = lines.read()
    assert len(found) == 4 * 51
    for line in found:
        bound = f"run-{line['number']}" if line["event"] == "at work" else None
        assert line.get("sync_run_id") == bound
        assert "unknown" not in line


def test_what_nobody_catches_ends_in_the_log_without_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = threading.excepthook
    set_up_service(settings())
    try:
        error = ValueError(f"row ({CANARY})")
        sys.excepthook(ValueError, error, None)
        threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    finally:
        threading.excepthook = before
    *lines, last = capsys.readouterr().err.splitlines()

    told = [json.loads(line) for line in lines]
    assert [one["level"] for one in told] == ["critical"] * 2
    assert [one["exception"][0]["error"] for one in told] == ["ValueError"] * 2
    assert CANARY not in str(told)
    assert last == "KeyboardInterrupt"


def test_a_line_that_cannot_be_written_is_told_and_not_quoted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            raise KeyError(CANARY)

        def __iter__(self) -> Any:
            raise RuntimeError(CANARY)

        def __len__(self) -> int:
            return 1

    set_up_process(settings(), usual_level="info")
    logging.getLogger("bank_pipeline.x").error(
        "%s", CANARY * 0, extra={"broken": Broken(), "access_token": CANARY}
    )
    said = capsys.readouterr().err

    assert CANARY not in said
    assert said == "a line of bank_pipeline.x could not be written: RuntimeError\n"


def test_arguments_that_do_not_fit_are_left_out() -> None:
    lines = Lines()
    lines.log.info("%d rows", CANARY)
    lines.log.info("%(rows)d rows", {"rows": 3, "token": CANARY})
    lines.log.info("%(other)s", {"rows": CANARY})
    lines.log.info("100%")

    assert CANARY not in lines.text
    assert [line["event"] for line in lines.read()] == [
        "%d rows (what belongs here cannot be shown)",
        "3 rows",
        "%(other)s (what belongs here cannot be shown)",
        "100%",
    ]


def test_lines_of_structlogs_own_loggers_are_redacted_too() -> None:
    lines = Lines()
    logger = structlog.wrap_logger(
        lines.log,
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logger.info("asked", access_token=CANARY, status=200)
    [line] = lines.read()

    assert (line["event"], line["status"]) == ("asked", 200)
    assert CANARY not in lines.text


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    lines = Lines()
    lines.log.info("a\nb\r\N{LINE SEPARATOR}\ud800c", extra={"x": "\n{}", "y": float("nan")})
    [line] = lines.read()

    assert line["event"].startswith("a\nb")
    assert line["y"] == "nan"
    assert len(lines.text.strip().split("\n")) == 1
