// Role: several messages as one "message" of the C-core: a sequence of gRPC frames, each with its header of five bytes
// (scripts/ccore/0010-framed-messages.patch). They are the same bytes on the wire. It knows no calls.

#pragma once

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace bench::frames {

// The channel argument of server and client.
constexpr char kArgument[] = "fanstream.framed_messages";
// On a response: it consists of frames. On a request: its responses may.
constexpr std::uint32_t kMark = GRPC_WRITE_NO_COMPRESS;
// A server's frames in one "message": the content of a DATA frame.
constexpr std::size_t kMost = 16 * 1024;
// A larger message gains nothing from company.
constexpr std::size_t kLargestMessage = 4 * 1024;

constexpr std::size_t kHeader = 5;

// Whether this C-core has the patch, which answers for this number; no subchannel has it. Without the patch, the mark
// means nothing, and clients would get wrong messages. Call it after grpc_init.
inline bool are_known() {
  char* const answer = grpc_channelz_get_subchannel(0);
  const bool known = answer != nullptr && std::strstr(answer, "framed_messages") != nullptr;
  gpr_free(answer);
  return known;
}

// Returns the position of the message.
inline std::uint8_t* write_header(std::uint8_t* to, std::size_t size) {
  *to++ = 0;  // not compressed
  for (int shift = 24; shift >= 0; shift -= 8) *to++ = static_cast<std::uint8_t>(size >> shift);
  return to;
}

// Reads the frames of a byte buffer, which must outlive it. It copies only messages that lie in several pieces.
class Reader {
 public:
  explicit Reader(const grpc_byte_buffer& buffer)
      : piece_(buffer.data.raw.slice_buffer.slices), left_(buffer.data.raw.slice_buffer.length) {}

  bool more() const { return left_ != 0; }

  // The next message, valid until the next call; false if the frame is incomplete or compressed.
  bool message(std::string_view& message) {
    std::string_view header;
    if (!take(kHeader, header) || header[0] != 0) return false;
    std::size_t size = 0;
    for (const char byte : header.substr(1)) size = size << 8 | static_cast<std::uint8_t>(byte);
    return take(size, message);
  }

 private:
  bool take(std::size_t size, std::string_view& bytes) {
    if (size > left_) return false;
    left_ -= size;
    while (size != 0 && used_ == GRPC_SLICE_LENGTH(*piece_)) next_piece();
    if (size == 0 || size <= GRPC_SLICE_LENGTH(*piece_) - used_) {
      bytes = size == 0 ? std::string_view() : std::string_view(at(), size);
      used_ += size;
      return true;
    }
    copy_.clear();
    while (copy_.size() < size) {
      if (used_ == GRPC_SLICE_LENGTH(*piece_)) next_piece();
      const std::size_t part = std::min(size - copy_.size(), GRPC_SLICE_LENGTH(*piece_) - used_);
      copy_.insert(copy_.end(), at(), at() + part);
      used_ += part;
    }
    bytes = {copy_.data(), size};
    return true;
  }

  const char* at() const { return reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(*piece_)) + used_; }

  void next_piece() {
    ++piece_;
    used_ = 0;
  }

  const grpc_slice* piece_;
  // Bytes of the piece, and of all pieces.
  std::size_t used_ = 0;
  std::size_t left_;
  std::vector<char> copy_;
};

}  // namespace bench::frames
