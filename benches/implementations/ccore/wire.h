// Role: encodes and decodes the two messages of proto/stream.proto by hand: they have one field each. It must not know
// gRPC.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bench::wire {

// A field's number and type, as one byte.
constexpr std::uint8_t kRequestId = 1 << 3 | 0;       // int32 id = 1
constexpr std::uint8_t kResponseResult = 1 << 3 | 2;  // string result = 1

constexpr std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

inline std::uint8_t* write_varint(std::uint8_t* to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) *to++ = static_cast<std::uint8_t>(value | 0x80);
  *to++ = static_cast<std::uint8_t>(value);
  return to;
}

// Reads the fields of a message, one after the other.
class Reader {
 public:
  Reader(const std::uint8_t* begin, const std::uint8_t* end) : at_(begin), end_(end) {}

  bool more() const { return at_ != end_; }

  bool varint(std::uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const std::uint8_t byte = *at_++;
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool bytes(std::string_view& value) {
    std::uint64_t size = 0;
    if (!varint(size) || size > static_cast<std::uint64_t>(end_ - at_)) return false;
    value = {reinterpret_cast<const char*>(at_), static_cast<std::size_t>(size)};
    at_ += size;
    return true;
  }

  // Skips a field that this version of the messages does not know.
  bool skip(std::uint64_t tag) {
    std::uint64_t ignored = 0;
    std::string_view bytes_ignored;
    switch (tag & 7) {
      case 0:
        return varint(ignored);
      case 1:
        return pass(8);
      case 2:
        return bytes(bytes_ignored);
      case 5:
        return pass(4);
      default:
        return false;  // a group, or no type at all
    }
  }

 private:
  bool pass(std::ptrdiff_t size) {
    if (end_ - at_ < size) return false;
    at_ += size;
    return true;
  }

  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

// Request.

constexpr std::size_t kRequestMost = 1 + 10;

// Returns the bytes written.
inline std::size_t write_request(std::uint8_t* to, std::int32_t id) {
  if (id == 0) return 0;  // the default is not sent
  std::uint8_t* end = to;
  *end++ = kRequestId;
  end = write_varint(end, static_cast<std::uint64_t>(std::int64_t{id}));  // negative ones sign-extended to 64 bits
  return static_cast<std::size_t>(end - to);
}

inline bool read_request(const std::uint8_t* begin, const std::uint8_t* end, std::int32_t& id) {
  id = 0;
  Reader reader(begin, end);
  while (reader.more()) {
    std::uint64_t tag = 0;
    std::uint64_t value = 0;
    if (!reader.varint(tag)) return false;
    if (tag != kRequestId) {
      if (!reader.skip(tag)) return false;
    } else if (reader.varint(value)) {
      id = static_cast<std::int32_t>(value);
    } else {
      return false;
    }
  }
  return true;
}

// Response.

inline std::size_t response_size(std::size_t result) { return 1 + varint_size(result) + result; }

// Writes the bytes before the result and returns the position of the result.
inline std::uint8_t* write_response_head(std::uint8_t* to, std::size_t result) {
  *to++ = kResponseResult;
  return write_varint(to, result);
}

inline bool read_response(const std::uint8_t* begin, const std::uint8_t* end, std::string_view& result) {
  result = {};
  Reader reader(begin, end);
  while (reader.more()) {
    std::uint64_t tag = 0;
    if (!reader.varint(tag)) return false;
    if (tag != kResponseResult ? !reader.skip(tag) : !reader.bytes(result)) return false;
  }
  return true;
}

}  // namespace bench::wire
