// Command load is the grpc-go load client of the comparison. benches/README.md defines its flags and its output; it
// measures only its own calls.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	_ "fanstream/implementations/buffers"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // a call ended with another status than OK
	exitUsage  = 2
)

func main() {
	os.Exit(run(parseFlags(), os.Stdin, os.Stdout))
}

// run keeps the order that the caller relies on: all unmeasured work comes before `ready`, and only the exit comes after
// the summary.
func run(c config, in io.Reader, out io.Writer) int {
	load, err := dial(c, out)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	defer load.close()

	load.connect()
	if !c.stall {
		load.warmUp()
	}
	controller := bufio.NewReader(in)
	fmt.Fprintln(out, "ready")
	if _, err := controller.ReadString('\n'); err != nil {
		fmt.Fprintln(os.Stderr, "standard input ended before the line that starts the calls")
		return exitUsage
	}

	var calls []record
	if c.stall {
		calls = load.stalled(func() {
			fmt.Fprintln(out, "stalled")
			io.Copy(io.Discard, controller)
		})
	} else {
		calls = load.measured()
	}
	if err := json.NewEncoder(out).Encode(summarize(calls, c)); err != nil {
		fmt.Fprintln(os.Stderr, "cannot write the summary:", err)
		return exitFailed
	}
	io.Copy(io.Discard, controller)
	if anyFailed(calls) {
		return exitFailed
	}
	return exitOK
}
