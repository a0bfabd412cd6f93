"""What the load client tells of its calls: records of single calls in, the JSON object of benches/README.md out."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Record:
    """What one call saw; times are nanoseconds of one clock."""

    began: int = 0
    ended: int = 0
    status: str = "OK"
    messages: int = 0
    bytes: int = 0
    arrivals: list[int] = field(default_factory=list)  # of each response, if a flag asks for it


def summarize(calls: list[Record], samples: bool, step: int) -> dict[str, object]:
    """The summary; with `samples` and with a `step` (nanoseconds) it has the lists that these ask for."""
    summary: dict[str, object] = {
        "calls": len(calls),
        "statuses": Counter(call.status for call in calls),
        "messages": sum(call.messages for call in calls),
        "bytes": sum(call.bytes for call in calls),
        "seconds": (max(call.ended for call in calls) - min(call.began for call in calls)) / 1e9,
    }
    if samples:
        summary["first_us"] = [_microseconds(call.arrivals[0] - call.began) for call in calls if call.arrivals]
        summary["gap_us"] = [
            _microseconds(later - earlier)
            for call in calls
            for earlier, later in zip(call.arrivals, call.arrivals[1:], strict=False)
        ]
    if step:
        summary["late_us"] = _lateness(calls, step)
    return summary


def _lateness(calls: list[Record], step: int) -> list[int]:
    """What was due before the last call had started is left out: the client was still busy opening calls, and would be
    measured instead of the server."""
    last_began = max(call.began for call in calls)
    due_and_arrival = ((call.began + j * step, arrival) for call in calls for j, arrival in enumerate(call.arrivals))
    return [_microseconds(arrival - due) for due, arrival in due_and_arrival if due > last_began]


def _microseconds(nanoseconds: int) -> int:
    return round(nanoseconds / 1000)
