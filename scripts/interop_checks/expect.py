"""Role: expectations of a check, and the report of a failed one. It starts no processes."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from implementation_builds.common import Participant


class CheckFailed(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.notes: list[str] = []  # standard error of the processes

    def report(self) -> str:
        return "\n".join([str(self), *self.notes])


def expect(what: str, seen: object, wanted: object) -> None:
    if seen == wanted:
        return
    if isinstance(seen, list) and isinstance(wanted, list):
        what, seen, wanted = _first_difference(what, seen, wanted)
    raise CheckFailed(f"{what}: expected {short(wanted)}, saw {short(seen)}")


def expect_between(what: str, seen: float, low: float, high: float) -> None:
    if not low <= seen <= high:
        raise CheckFailed(f"{what}: expected {low:g} to {high:g}, saw {seen:g}")


@dataclass(frozen=True)
class Outcome:
    check: str
    failure: str | None


def run_check(name: str, check: Callable[..., None], *participants: Participant) -> Outcome:
    try:
        check(*participants)
    except CheckFailed as failure:
        return Outcome(name, failure.report())
    except Exception:  # a program broke the contract in a way that the check does not handle
        return Outcome(name, traceback.format_exc())
    return Outcome(name, None)


def _first_difference(what: str, seen: list[object], wanted: list[object]) -> tuple[str, object, object]:
    both = enumerate(itertools.zip_longest(seen, wanted, fillvalue="nothing"))
    index, (s, w) = next((i, pair) for i, pair in both if pair[0] != pair[1])
    return f"{what}, number {index} ({len(wanted)} expected, {len(seen)} seen)", s, w


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]}… ({len(text)} characters)"
