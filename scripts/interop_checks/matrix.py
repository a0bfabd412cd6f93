"""Role: the results of all pairs, and how they are printed."""

from __future__ import annotations

from collections import Counter

from .expect import Outcome

NAMES = ["ours", "go", "python", "node", "original"]
NO_SERVER = "none"

Pair = tuple[str, str]  # the names of server and client


class Matrix:
    """The results by pair, and their totals."""

    def __init__(self) -> None:
        self._verdicts: dict[Pair, str] = {}
        self.totals = Counter(passed=0, failed=0, skipped=0)

    def skip(self, pair: Pair, checks: int) -> None:
        self._verdicts[pair] = "skipped"
        self.totals["skipped"] += checks

    def fail_build(self, name: str, reason: str) -> None:
        self.totals["failed"] += 1
        print(f"FAIL  {name}: {reason}", flush=True)

    def record(self, pair: Pair, outcomes: list[Outcome]) -> None:
        failures = [(o.check, o.failure) for o in outcomes if o.failure is not None]
        self._verdicts[pair] = f"{len(failures)} failed" if failures else "ok"
        self.totals["failed"] += len(failures)
        self.totals["passed"] += len(outcomes) - len(failures)
        names = " ".join(o.check for o in outcomes if o.failure is None)
        print(f"{'FAIL' if failures else 'ok':5} {pair[0]:>8} → {pair[1]:8}  {names}".rstrip(), flush=True)
        for check, failure in failures:
            print(f"        {check}: " + failure.replace("\n", "\n          "), flush=True)

    def table(self) -> str:
        rows = [["server \\ client", *NAMES]]
        for server in NAMES:
            rows.append([server, *(self._verdicts.get((server, client), "-") for client in NAMES)])
        return "\n".join("  ".join(f"{cell:15}" for cell in row).rstrip() for row in rows)
