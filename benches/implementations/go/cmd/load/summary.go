package main

import (
	"math"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
)

// record has the observations of one call. Its times count from just before the first call.
type record struct {
	began, ended time.Duration
	status       codes.Code
	messages     int
	bytes        int
	arrivals     []time.Duration // of each response, if a flag asks for it
}

type summary struct {
	Calls    int            `json:"calls"`
	Statuses map[string]int `json:"statuses"`
	Messages int            `json:"messages"`
	Bytes    int            `json:"bytes"`
	Seconds  float64        `json:"seconds"`
	// nil if not asked for, and then left out; an empty list if asked for without observations.
	FirstUS []int64 `json:"first_us,omitzero"`
	GapUS   []int64 `json:"gap_us,omitzero"`
	LateUS  []int64 `json:"late_us,omitzero"`
}

func summarize(calls []record, c config) summary {
	s := summary{Calls: len(calls), Statuses: map[string]int{}}
	firstBegan, lastEnded := time.Duration(math.MaxInt64), time.Duration(0)
	for _, call := range calls {
		// As the gRPC specification spells it: DEADLINE_EXCEEDED, where package codes says DeadlineExceeded.
		s.Statuses[code.Code(call.status).String()]++
		s.Messages += call.messages
		s.Bytes += call.bytes
		firstBegan = min(firstBegan, call.began)
		lastEnded = max(lastEnded, call.ended)
	}
	s.Seconds = (lastEnded - firstBegan).Seconds()
	if c.samples {
		s.FirstUS, s.GapUS = spacing(calls)
	}
	if c.step > 0 {
		s.LateUS = lateness(calls, c.step)
	}
	return s
}

// spacing returns the time to the first response of each call, and from each response to the next.
func spacing(calls []record) (first, gap []int64) {
	first, gap = []int64{}, []int64{}
	for _, call := range calls {
		for j, arrival := range call.arrivals {
			if j == 0 {
				first = append(first, (arrival - call.began).Microseconds())
			} else {
				gap = append(gap, (arrival - call.arrivals[j-1]).Microseconds())
			}
		}
	}
	return first, gap
}

// lateness compares each response with its due time. Responses that were due before the last call had started are left
// out: the client was still busy opening calls, and would be measured instead of the server.
func lateness(calls []record, step time.Duration) []int64 {
	var lastBegan time.Duration
	for _, call := range calls {
		lastBegan = max(lastBegan, call.began)
	}
	late := []int64{}
	for _, call := range calls {
		for j, arrival := range call.arrivals {
			if due := call.began + time.Duration(j)*step; due > lastBegan {
				late = append(late, (arrival - due).Microseconds())
			}
		}
	}
	return late
}

func anyFailed(calls []record) bool {
	for _, call := range calls {
		if call.status != codes.OK {
			return true
		}
	}
	return false
}
