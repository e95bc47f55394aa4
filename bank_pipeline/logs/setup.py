"""
How every line of ours is written: the one place that sets up logging.

All loggers are those of the standard library, ours and others'; structlog renders what they say,
with the ids that are bound where it is said (`structlog.contextvars`).
"""

import json
import logging
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bank_pipeline.config import LogFormat, Settings
from bank_pipeline.logs.redaction import bounded, redact, to_exceptions

_OURS: Final = "bank_pipeline"
_log: Final = logging.getLogger(__name__)
_OF_OTHER_FORMATTERS: Final = frozenset({"message", "asctime"})
"""What they leave behind in a record; it is no fact of the line, and is not redacted."""

_LEVELS: Final = {
    # These tell of every connection and request at INFO; what we need of it, we tell ourselves.
    "uvicorn.error": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
}


def set_up_process(settings: Settings | None, *, usual_level: str) -> None:
    """
    Have a process of our own write all its lines to standard error as the settings say.

    `usual_level` holds where they name none. Without settings, because they cannot be read, lines
    are written as usual: whoever needs the settings will say what is wrong with them.
    """
    _put(logging.getLogger(), settings, _level(settings, usual_level))
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)


def set_up_run(settings: Settings) -> None:
    """
    Have a process of Dagster's write our lines as the settings say, and leave its own alone.

    Where the process is one of ours, or was set up before, nothing is added.
    """
    if any(isinstance(one, _Handler) for one in logging.getLogger().handlers):
        return
    _put(logging.getLogger(_OURS), settings, _level(settings, "info"))


def set_up_service(settings: Settings) -> None:
    """
    Set up a process that nobody watches: what is caught nowhere ends in its log, too.

    Python's own traceback would quote the error's words.
    """
    set_up_process(settings, usual_level="info")
    sys.excepthook = _log_crash
    threading.excepthook = _log_crash_of_thread


def take_down() -> None:
    """Undo what was set up."""
    for logger in (logging.getLogger(), logging.getLogger(_OURS)):
        for handler in [*logger.handlers]:
            if isinstance(handler, _Handler):
                logger.removeHandler(handler)
    logging.getLogger().setLevel(logging.WARNING)
    if sys.excepthook is _log_crash:
        sys.excepthook = sys.__excepthook__
    if threading.excepthook is _log_crash_of_thread:
        threading.excepthook = threading.__excepthook__
    for name in (_OURS, *_LEVELS):
        logging.getLogger(name).setLevel(logging.NOTSET)


def build_formatter(*, is_json: bool, colors: bool = False) -> logging.Formatter:
    """Build what turns a record into a line, or for a person's eyes into a few."""
    last: list[Processor] = [_redacted]
    if is_json:
        last.append(structlog.processors.JSONRenderer(serializer=json.dumps))
    else:
        last += [_for_people, structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)]
    formatter: logging.Formatter = _Formatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    return formatter


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Lets no argument into a message that may not stand in a line."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {k: v for k, v in record.__dict__.items() if k not in _OF_OTHER_FORMATTERS}
        safe = logging.makeLogRecord(facts)
        if not hasattr(record, "_logger"):  # as lines have that come through structlog's loggers
            safe.msg, safe.args = _message(record), None
        return str(super().format(safe))


class _Handler(logging.StreamHandler[IO[str]]):
    """Writes to what is standard error at the time; a line that fails is told, not quoted."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[0]
        name = error.__name__ if error else "unknown"
        sys.stderr.write(f"a line of {record.name} could not be written: {name}\n")


def _put(logger: logging.Logger, settings: Settings | None, level: int) -> None:
    for handler in [*logger.handlers]:
        if isinstance(handler, _Handler):
            logger.removeHandler(handler)
    wanted = settings.log_format if settings else LogFormat.AUTO
    is_terminal = sys.stderr.isatty()
    is_json = wanted is LogFormat.JSON or (wanted is LogFormat.AUTO and not is_terminal)
    handler = _Handler()
    handler.setFormatter(build_formatter(is_json=is_json, colors=is_terminal))
    handler.setLevel(level)  # whoever listens to more besides does not have all of it written
    logger.addHandler(handler)
    logger.setLevel(level)


def _level(settings: Settings | None, usual: str) -> int:
    wanted = settings.log_level.value if settings and settings.log_level else usual
    return logging.getLevelNamesMapping()[wanted.upper()]


def _message(record: logging.LogRecord) -> str:
    """Put a message together of what may be written of its arguments."""
    template: str = record.msg if isinstance(record.msg, str) else str(redact(record.msg))
    args = record.args
    if not args:
        return template
    safe: Any = redact(args) if isinstance(args, Mapping) else tuple(redact(one) for one in args)
    try:
        return str(template % safe)
    except (TypeError, ValueError, KeyError):
        return f"{template} (what belongs here cannot be shown)"


def _redacted(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Leave out of a line what may not be in it; turn an error into names and places."""
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    said = event.pop("event", "")
    first = {name: event.pop(name, None) for name in ("at", "level", "logger")}
    event.pop("exception", None)  # which is ours to tell
    known = {name: value for name, value in event.items() if value is not None}
    line: EventDict = {
        **redact(first),
        "event": bounded(said if isinstance(said, str) else str(redact(said))),
        **redact(known),
    }
    error = _error_in(info)
    if error is not None:
        line["exception"] = to_exceptions(error)
    return line


def _error_in(info: object) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple) and len(info) > 1:
        return info[1] if isinstance(info[1], BaseException) else None
    return sys.exc_info()[1] if info else None


def _for_people(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Show an error in lines, and nothing that would move a terminal's cursor."""
    told = event.pop("exception", None)
    event["timestamp"] = event.pop("at", None)
    shown = {name: _printable(one) if isinstance(one, str) else one for name, one in event.items()}
    if told:
        shown["exception"] = "\n".join(
            line for one in told for line in (one["error"], *(f"  at {at}" for at in one["frames"]))
        )
    return shown


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _log_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _log.critical("the process ends by an error that nobody caught", exc_info=error)


def _log_crash_of_thread(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_value is not None and not isinstance(crash.exc_value, SystemExit):
        _log.critical("a thread ended by an error that nobody caught", exc_info=crash.exc_value)
