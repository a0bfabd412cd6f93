// Package buffers gives grpc-go a pool with a tier for each power of two, for a program that imports it.
//
// The default pool has none between 32 KiB and 1 MiB: for a message of 64 KiB it takes a buffer of 1 MiB, and clears all of
// it, on each side. grpc-go lets programs replace the pool for this reason (https://github.com/grpc/grpc-go/pull/8806).
package buffers

import (
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

func init() {
	// From the smallest and to the largest tier of the default pool.
	pool, err := mem.NewBinaryTieredBufferPool(8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
	if err != nil {
		panic(err)
	}
	experimental.SetDefaultBufferPool(pool)
}
