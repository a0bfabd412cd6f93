package main

import (
	"bufio"
	"encoding/json"
	"io"

	"fanstream/implementations/pb"
)

// produced keeps the compiler from removing the work of produce.
var produced *pb.Response

// produce makes n responses as a call does, but sends none, so that their cost can be measured from outside: between the
// line that it waits for and the one that it prints.
func produce(s *streamer, n int, in io.Reader, out io.Writer) error {
	s.produce(n)
	if _, err := io.WriteString(out, "ready\n"); err != nil {
		return err
	}
	controller := bufio.NewReader(in)
	if _, err := controller.ReadString('\n'); err != nil {
		return err
	}
	err := json.NewEncoder(out).Encode(struct {
		Responses int `json:"responses"`
		Bytes     int `json:"bytes"`
	}{n, s.produce(n)})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, controller)
	return err
}

// produce returns the bytes of n results for id 1.
func (s *streamer) produce(n int) (bytes int) {
	for k := range n {
		produced = s.response(1, k)
		bytes += len(produced.GetResult())
	}
	return bytes
}
