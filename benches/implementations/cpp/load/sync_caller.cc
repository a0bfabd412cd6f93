#include "load/sync_caller.h"

#include <grpcpp/client_context.h>

#include <atomic>
#include <deque>
#include <thread>
#include <vector>

namespace bench {
namespace {

using Reader = std::unique_ptr<grpc::ClientReader<protobuf::Response>>;

Reader open(Channels& channels, grpc::ClientContext& context, Run& run, std::size_t index) {
  CallRecord& record = run.call(index);
  protobuf::Request request;
  request.set_id(record.id());
  record.begin();
  return channels.stub(index).FetchResponse(&context, request);
}

}  // namespace

void SyncCaller::make(Run& run, const std::function<void()>& hold) {
  run.start();
  if (run.stall()) {
    make_stalling(run, hold);
    return;
  }
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < run.in_flight(); ++i) {
    threads.emplace_back([&] {
      protobuf::Response response;  // its memory is reused
      for (std::size_t index = next++; index < run.calls(); index = next++) {
        if (run.ramped()) std::this_thread::sleep_until(run.due(index));
        call(run, index, response);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void SyncCaller::call(Run& run, std::size_t index, protobuf::Response& response) {
  grpc::ClientContext context;
  const Reader reader = open(channels_, context, run, index);
  CallRecord& record = run.call(index);
  while (reader->Read(&response)) record.response(response.result());
  record.end(reader->Finish().error_code());
}

// Stalled calls need no thread: they are opened one after the other, read once each, and cancelled together.
void SyncCaller::make_stalling(Run& run, const std::function<void()>& hold) {
  std::deque<grpc::ClientContext> contexts;
  std::vector<Reader> readers;
  for (std::size_t index = 0; index < run.calls(); ++index) {
    if (run.ramped()) std::this_thread::sleep_until(run.due(index));
    readers.push_back(open(channels_, contexts.emplace_back(), run, index));
  }
  protobuf::Response response;
  for (std::size_t index = 0; index < run.calls(); ++index) {
    if (readers[index]->Read(&response)) run.call(index).response(response.result());
  }
  hold();
  for (grpc::ClientContext& context : contexts) context.TryCancel();
  for (std::size_t index = 0; index < run.calls(); ++index) {
    while (readers[index]->Read(&response)) {
    }
    run.call(index).end(readers[index]->Finish().error_code());
  }
}

}  // namespace bench
