// Role: routes an event of the completion queue to the object that waits for it. The tag of a batch is a pointer to a
// Completion, which must live until the event.

#pragma once

namespace bench {

class Completion {
 public:
  // `done` receives `owner` and the success of the batch.
  using Done = void (*)(void* owner, bool ok);

  Completion(Done done, void* owner) : done_(done), owner_(owner) {}
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  void operator()(bool ok) const { done_(owner_, ok); }

 private:
  Done done_;
  void* owner_;
};

// A Done that calls `Method` of `Owner`.
template <auto Method, typename Owner>
Completion completion_of(Owner* owner) {
  return Completion([](void* self, bool ok) { (static_cast<Owner*>(self)->*Method)(ok); }, owner);
}

}  // namespace bench
