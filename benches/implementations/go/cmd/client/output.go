package main

import (
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"sync"
	"time"
)

// tally has the counts of a summary. Each call keeps its own, so calls share no lock; they are added up at the end.
type tally struct {
	responses int
	bytes     int
	first     time.Duration // until the first response; only valid if there was one
}

func (t *tally) count(result string, began time.Time) {
	if t.responses == 0 {
		t.first = time.Since(began)
	}
	t.responses++
	t.bytes += len(result)
}

func (t *tally) add(other tally) {
	if t.responses == 0 || (other.responses > 0 && other.first < t.first) {
		t.first = other.first
	}
	t.responses += other.responses
	t.bytes += other.bytes
}

// printer writes to standard output, unbuffered: each response is visible when it arrives.
type printer struct {
	format string
	quiet  bool
	mu     sync.Mutex // one line at a time, from any call
}

// The tutorial uses the time stamp of package log, which writes to standard error by default.
var tutorial = log.New(os.Stdout, "", log.LstdFlags)

func (p *printer) response(id int32, sequence int, began time.Time, result string) {
	if p.quiet {
		return
	}
	elapsed := time.Since(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.format {
	case "tutorial":
		tutorial.Printf("Resp received: %s", result)
	case "text":
		fmt.Println(result)
	case "json":
		printJSON(struct {
			ID        int32   `json:"id"`
			Sequence  int     `json:"sequence"`
			ElapsedMS float64 `json:"elapsed_ms"`
			Result    string  `json:"result"`
		}{id, sequence, milliseconds(elapsed), result})
	}
}

func (p *printer) finish(t tally, duration time.Duration, status string) {
	switch {
	case p.quiet && p.format == "json":
		printJSON(struct {
			Responses  int      `json:"responses"`
			Bytes      int      `json:"bytes"`
			FirstMS    *float64 `json:"first_ms"`
			DurationMS float64  `json:"duration_ms"`
			Status     string   `json:"status"`
		}{t.responses, t.bytes, t.firstMS(), milliseconds(duration), status})
	case p.quiet:
		fmt.Printf("%d responses, %d bytes in %v: %s\n", t.responses, t.bytes, duration.Round(time.Microsecond), status)
	case p.format == "tutorial" && status == "OK":
		tutorial.Print("finished")
	}
}

// firstMS is nil, so null in JSON, when no response came.
func (t tally) firstMS() *float64 {
	if t.responses == 0 {
		return nil
	}
	return new(milliseconds(t.first))
}

// milliseconds with three decimals: nothing here is exact beyond a microsecond.
func milliseconds(d time.Duration) float64 {
	return math.Round(d.Seconds()*1e6) / 1e3
}

func printJSON(value any) {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.Encode(value)
}
