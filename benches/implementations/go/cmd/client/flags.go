package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type config struct {
	addr    string
	ids     idList
	take    int           // 0: all of them
	timeout time.Duration // 0: none
	format  string
	quiet   bool
}

func parseFlags() config {
	c := config{ids: idList{1}}
	flag.StringVar(&c.addr, "addr", "localhost:50005", "`host:port` of the server")
	flag.Var(&c.ids, "id", "`ids` to fetch, all at once: N, A-B, or several of these with commas between them (default 1)")
	flag.IntVar(&c.take, "take", 0, "cancel each call after `N` responses; 0 takes all")
	flag.DurationVar(&c.timeout, "timeout", 0, "`duration` a whole call may take; 0 is no deadline")
	flag.StringVar(&c.format, "format", "tutorial", "tutorial, text or json")
	flag.BoolVar(&c.quiet, "quiet", false, "print no responses, only a closing summary")
	flag.Parse()
	if flag.NArg() > 0 || c.take < 0 || c.timeout < 0 || !slices.Contains([]string{"tutorial", "text", "json"}, c.format) {
		fmt.Fprintln(flag.CommandLine.Output(), "no arguments, no negative numbers, and one of the three formats, please")
		flag.Usage()
		os.Exit(exitUsage)
	}
	return c
}

// idList is the value of --id. Ids may be negative, so a range of them can read -5--3.
type idList []int32

var idRange = regexp.MustCompile(`^(-?\d+)(?:-(-?\d+))?$`)

func (l *idList) String() string { return "" }

func (l *idList) Set(value string) error {
	*l = nil
	for part := range strings.SplitSeq(value, ",") {
		match := idRange.FindStringSubmatch(part)
		if match == nil {
			return fmt.Errorf("%q is neither N nor A-B", part)
		}
		first, err := strconv.ParseInt(match[1], 10, 32)
		if err != nil {
			return err
		}
		last := first
		if match[2] != "" {
			if last, err = strconv.ParseInt(match[2], 10, 32); err != nil {
				return err
			}
		}
		if last < first {
			return fmt.Errorf("%q ends before it starts", part)
		}
		for id := first; id <= last; id++ {
			*l = append(*l, int32(id))
		}
	}
	return nil
}
