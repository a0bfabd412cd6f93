// Package pb is the Go code generated from proto/stream.proto, committed as is the custom in Go, so that building the
// peers needs no protoc. With a protoc on PATH, `go generate ./pb` makes it anew; the plugins are tools of this module.
package pb

//go:generate sh -c "protoc -I ../../../../proto --plugin=$(go tool -n protoc-gen-go) --plugin=$(go tool -n protoc-gen-go-grpc) --go_out=. --go_opt=paths=source_relative,Mstream.proto=fanstream/peers/pb --go-grpc_out=. --go-grpc_opt=paths=source_relative,Mstream.proto=fanstream/peers/pb stream.proto"
