// Role: makes the responses of both APIs.

#pragma once

#include <cstddef>
#include <cstdint>

#include "common/text.h"
#include "stream.pb.h"

namespace bench {

// Makes response `number` in the memory of the one before; `wanted` is the flag --size.
inline void make_response(protobuf::Response& response, std::int32_t id, int number, std::size_t wanted) {
  const ResponseText text(id, number);
  text.write(*response.mutable_result(), text.size(wanted));
}

}  // namespace bench
