// Role: makes a response as the bytes that the C-core sends.

#pragma once

#include <grpc/slice.h>

#include <cstddef>
#include <cstdint>

#include "common/text.h"
#include "server/slab.h"
#include "wire.h"

namespace bench {

// Writes a response whose result has `size` bytes; returns its end.
inline std::uint8_t* write_response(std::uint8_t* to, const ResponseText& text, std::size_t size) {
  std::uint8_t* const result = wire::write_response_head(to, size);
  text.write(reinterpret_cast<char*>(result), size);
  return result + size;
}

inline grpc_slice new_response(Slab& slab, const ResponseText& text, std::size_t size) {
  return slab.take(wire::response_size(size), [&](std::uint8_t* begin) {
    return static_cast<std::size_t>(write_response(begin, text, size) - begin);
  });
}

}  // namespace bench
