package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"time"
)

type config struct {
	addr        string
	id          int
	calls       int
	inFlight    int
	connections int
	ramp        time.Duration
	warmUp      int
	step        time.Duration // 0: unknown, so no lateness
	print       bool
	samples     bool
	stall       bool
	window      int // 0: the default of grpc-go
	tlsCA       string
	serverName  string
}

// perConnection is the ratio of a connection's flow-control window to that of each stream.
const perConnection = 4

func parseFlags() config {
	c := config{}
	flag.StringVar(&c.addr, "addr", "localhost:50005", "`host:port` of the server")
	flag.IntVar(&c.id, "id", 1, "`id` that the first call asks for; each further call asks for the next")
	flag.IntVar(&c.calls, "calls", 1, "calls in all")
	flag.IntVar(&c.inFlight, "in-flight", 1, "calls open at the same time")
	flag.IntVar(&c.connections, "connections", 1, "TCP connections, which the calls use in turn")
	flag.DurationVar(&c.ramp, "ramp", 0, "`duration` over which the starts of the calls are spread")
	flag.IntVar(&c.warmUp, "warm-up", -1, "calls before the measured ones (default as many as connections)")
	flag.DurationVar(&c.step, "step", 0, "`duration` between the responses of the server, to tell how late they come")
	flag.BoolVar(&c.print, "print", false, "print each response as ID<TAB>RESULT")
	flag.BoolVar(&c.samples, "samples", false, "report the time of each first response and each gap")
	flag.BoolVar(&c.stall, "stall", false, "read the first response of each call, then nothing until standard input ends")
	flag.IntVar(&c.window, "window", 0, "`bytes` of each stream's window, a quarter of the connection's; 0 is the default")
	flag.StringVar(&c.tlsCA, "tls-ca", "", "PEM `file` of the one authority to trust; without it there is no TLS")
	flag.StringVar(&c.serverName, "server-name", "", "`name` that the certificate is for, if not the host of --addr")
	flag.Parse()
	if c.warmUp == -1 {
		c.warmUp = c.connections
	}
	if err := c.validate(); err != nil {
		fmt.Fprintln(flag.CommandLine.Output(), err)
		flag.Usage()
		os.Exit(exitUsage)
	}
	return c
}

func (c config) validate() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case c.calls < 1, c.inFlight < 1, c.connections < 1:
		return errors.New("--calls, --in-flight and --connections must be at least 1")
	case c.warmUp < 0, c.ramp < 0, c.step < 0:
		return errors.New("--warm-up, --ramp and --step must not be negative")
	case c.id < math.MinInt32, c.id+max(c.calls, c.warmUp)-1 > math.MaxInt32:
		return errors.New("--id: the ids of all calls must be 32-bit integers")
	case c.window < 0, c.window > math.MaxInt32/perConnection:
		return fmt.Errorf("--window must be from 0 to %d", math.MaxInt32/perConnection)
	case c.serverName != "" && c.tlsCA == "":
		return errors.New("--server-name is of no use without --tls-ca")
	}
	return nil
}
