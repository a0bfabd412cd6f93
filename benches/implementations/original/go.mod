// Dependencies of the original tutorial programs, which predate their having a go.mod: the last releases before their
// generated code was written, so that the interop matrix meets a grpc-go of their time as well as today's (../go).
// scripts/interop lays this file and go.sum over a copy of the original's checkout.
module github.com/pramonow/go-grpc-server-streaming-example

go 1.15

require (
	google.golang.org/grpc v1.33.2
	google.golang.org/protobuf v1.25.0
)
