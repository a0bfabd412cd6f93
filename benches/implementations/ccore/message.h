// Role: the bytes of a received message, in one piece.

#pragma once

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include <cstdint>

namespace bench {

// A view of a byte buffer, which must outlive it. It copies only if the message came in several pieces.
class Message {
 public:
  explicit Message(grpc_byte_buffer* buffer) {
    const grpc_slice_buffer& pieces = buffer->data.raw.slice_buffer;
    if (buffer->data.raw.compression == GRPC_COMPRESS_NONE && pieces.count == 1) {
      piece_ = &pieces.slices[0];
      return;
    }
    grpc_byte_buffer_reader reader;
    grpc_byte_buffer_reader_init(&reader, buffer);
    copy_ = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
  }
  ~Message() { grpc_slice_unref(copy_); }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  const std::uint8_t* begin() const { return GRPC_SLICE_START_PTR(*piece_); }
  const std::uint8_t* end() const { return GRPC_SLICE_END_PTR(*piece_); }

 private:
  grpc_slice copy_ = grpc_empty_slice();
  const grpc_slice* piece_ = &copy_;
};

}  // namespace bench
