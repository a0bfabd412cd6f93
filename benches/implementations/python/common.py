"""Code that the Python programs share: the types of their flags, durations as in the other programs, and the time stamp
on log lines."""

import argparse
import logging
import re
from pathlib import Path
from typing import TextIO

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)"

# That of Go's package log, which the original programs print.
STAMPED = logging.Formatter("%(asctime)s %(message)s", datefmt="%Y/%m/%d %H:%M:%S")


def duration(text: str) -> float:
    """Seconds of a duration such as 250ms, 1s or 1m30s; an argparse type."""
    if text == "0":
        return 0.0
    if not re.fullmatch(f"(?:{_PART})+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 250ms or 1s")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))


def natural(text: str) -> int:
    """An integer that is not negative; an argparse type."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return int(text)


def positive(text: str) -> int:
    """An integer from 1 up; an argparse type."""
    if not (number := natural(text)):
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def readable_file(text: str) -> bytes:
    """The content of the file of that name; an argparse type."""
    try:
        return Path(text).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None


def stamped_logger(name: str, stream: TextIO, level: str = "info") -> logging.Logger:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(STAMPED)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    return logger
