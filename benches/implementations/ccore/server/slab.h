// Role: memory for messages to send. Small messages share a slab, which saves an allocation and a release for each.

#pragma once

#include <grpc/slice.h>

#include <cstddef>
#include <cstdint>

namespace bench {

class Slab {
 public:
  Slab() = default;
  ~Slab() { grpc_slice_unref(slab_); }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // Returns a slice of the bytes that `write` has filled in: it returns their number, at most `most`.
  template <typename Write>
  grpc_slice take(std::size_t most, Write write) {
    if (most > kShared) {
      grpc_slice own = grpc_slice_malloc_large(most);
      return grpc_slice_sub_no_ref(own, 0, write(GRPC_SLICE_START_PTR(own)));
    }
    if (kSize - used_ < most || GRPC_SLICE_LENGTH(slab_) == 0) renew();
    const std::size_t size = write(GRPC_SLICE_START_PTR(slab_) + used_);
    used_ += size;
    return grpc_slice_sub(slab_, used_ - size, used_);
  }

 private:
  // Small enough for the processor's first-level cache.
  static constexpr std::size_t kSize = 16 * 1024;
  // A slow reader keeps the whole slab alive, so larger messages get their own memory.
  static constexpr std::size_t kShared = 512;

  void renew() {
    grpc_slice_unref(slab_);
    slab_ = grpc_slice_malloc_large(kSize);
    used_ = 0;
  }

  grpc_slice slab_ = grpc_empty_slice();
  std::size_t used_ = 0;
};

}  // namespace bench
