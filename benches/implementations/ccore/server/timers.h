// Role: the due times of streams, and the time that the completion queue may wait. It starts no thread.

#pragma once

#include <chrono>
#include <map>

namespace bench {

template <typename Waiting>
class Timers {
 public:
  using Clock = std::chrono::steady_clock;
  using Entry = typename std::multimap<Clock::time_point, Waiting*>::iterator;

  // Behind all entries with the same due time. If all wait equally long, this is the end, found at once.
  Entry add(Clock::time_point due, Waiting* waiting) { return by_time_.emplace_hint(by_time_.end(), due, waiting); }
  void cancel(Entry entry) { by_time_.erase(entry); }

  bool empty() const { return by_time_.empty(); }
  Clock::time_point next() const { return by_time_.begin()->first; }

  // Removes each due stream and calls `fire` with it; the stream may wait again.
  template <typename Fire>
  void fire_due(Fire fire) {
    const Clock::time_point now = Clock::now();
    while (!by_time_.empty() && by_time_.begin()->first <= now) {
      Waiting* const due = by_time_.begin()->second;
      by_time_.erase(by_time_.begin());
      fire(due);
    }
  }

 private:
  std::multimap<Clock::time_point, Waiting*> by_time_;
};

}  // namespace bench
