// Role: formats the text of each response straight into the caller's memory, so that an implementation pays only for
// its library.

#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace bench {

class ResponseText {
 public:
  ResponseText(std::int32_t id, int number) {
    char* end = append(text_, "Request #");
    end = std::to_chars(end, text_ + sizeof text_, number).ptr;
    end = append(end, " For Id:");
    end = std::to_chars(end, text_ + sizeof text_, id).ptr;
    length_ = static_cast<std::size_t>(end - text_);
  }

  // The most bytes of a result, where `wanted` is the flag --size.
  static constexpr std::size_t most(std::size_t wanted) { return wanted == 0 ? kMost : wanted; }

  // Bytes of the result, where `wanted` is the flag --size.
  std::size_t size(std::size_t wanted) const { return wanted == 0 ? length_ : wanted; }

  // Writes `size` bytes: the text, cut or padded with dots.
  void write(char* into, std::size_t size) const {
    const std::size_t copied = std::min(size, length_);
    std::memcpy(into, text_, copied);
    std::memset(into + copied, '.', size - copied);
  }

  // The same into a string, whose memory it reuses. Resized first, a new string would be filled twice.
  void write(std::string& into, std::size_t size) const {
    const std::size_t copied = std::min(size, length_);
    if (into.capacity() < size) into.reserve(size);
    into.assign(text_, copied);
    if (copied < size) into.append(size - copied, '.');
  }

 private:
  static char* append(char* to, std::string_view text) {
    std::memcpy(to, text.data(), text.size());
    return to + text.size();
  }

  static constexpr std::size_t kMost = 48;  // "Request #2147483647 For Id:-2147483648" is 38

  char text_[kMost];
  std::size_t length_;
};

}  // namespace bench
