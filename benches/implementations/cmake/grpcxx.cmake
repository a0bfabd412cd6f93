# Role: gRPC C++ from the source beside the C-core, which grpcio-sys does not compile: the library `grpcxx`, the code
# generator, and `generate_grpc` for a proto. Protobuf is the distribution's.

find_package(Protobuf REQUIRED)

# As in the target grpc++ of the C-core's own CMakeLists.txt, without Binder (Android) and the tools' leftovers.
set(GRPCXX_SOURCES
  client/channel_cc.cc
  client/client_callback.cc
  client/client_context.cc
  client/client_interceptor.cc
  client/client_stats_interceptor.cc
  client/create_channel.cc
  client/create_channel_internal.cc
  client/create_channel_posix.cc
  client/insecure_credentials.cc
  client/secure_credentials.cc
  client/xds_credentials.cc
  common/alarm.cc
  common/auth_property_iterator.cc
  common/channel_arguments.cc
  common/completion_queue_cc.cc
  common/resource_quota_cc.cc
  common/rpc_method.cc
  common/secure_auth_context.cc
  common/secure_channel_arguments.cc
  common/secure_create_auth_context.cc
  common/tls_certificate_provider.cc
  common/tls_certificate_verifier.cc
  common/tls_credentials_options.cc
  common/validate_service_config.cc
  common/version_cc.cc
  server/async_generic_service.cc
  server/backend_metric_recorder.cc
  server/channel_argument_option.cc
  server/create_default_thread_pool.cc
  server/external_connection_acceptor_impl.cc
  server/health/default_health_check_service.cc
  server/health/health_check_service.cc
  server/health/health_check_service_server_builder_option.cc
  server/insecure_server_credentials.cc
  server/secure_server_credentials.cc
  server/server_builder.cc
  server/server_callback.cc
  server/server_cc.cc
  server/server_context.cc
  server/server_posix.cc
  server/xds_server_credentials.cc
  thread_manager/thread_manager.cc
  util/byte_buffer_cc.cc
  util/status.cc
  util/string_ref.cc
  util/time_cc.cc)
list(TRANSFORM GRPCXX_SOURCES PREPEND ${CCORE_SOURCE}/src/cpp/)

add_library(grpcxx STATIC ${GRPCXX_SOURCES})
# Most of a compilation is the same headers. The code on the path of messages is in those headers or stands alone.
set_target_properties(grpcxx PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
set_source_files_properties(
  ${CCORE_SOURCE}/src/cpp/common/completion_queue_cc.cc ${CCORE_SOURCE}/src/cpp/util/byte_buffer_cc.cc
  ${CCORE_SOURCE}/src/cpp/server/server_cc.cc
  PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
target_compile_options(grpcxx PRIVATE -w "SHELL:-include cstdint")
target_include_directories(grpcxx PRIVATE
  ${CCORE_BUILD}/fanstream/patched # the headers that our patches change (scripts/ccore)
  ${CCORE_SOURCE} ${CCORE_SOURCE}/src/core/ext/upb-generated ${CCORE_SOURCE}/src/core/ext/upbdefs-generated
  ${CCORE_SOURCE}/third_party/upb ${CCORE_SOURCE}/third_party/utf8_range ${CCORE_SOURCE}/third_party/xxhash)
target_link_libraries(grpcxx PUBLIC ccore protobuf::libprotobuf)

add_executable(grpc_cpp_plugin
  ${CCORE_SOURCE}/src/compiler/cpp_generator.cc
  ${CCORE_SOURCE}/src/compiler/cpp_plugin.cc
  ${CCORE_SOURCE}/src/compiler/proto_parser_helper.cc)
target_compile_options(grpc_cpp_plugin PRIVATE -w -O0) # it runs once
# The distribution's Protobuf names the C# header differently; the C++ generator does not need it.
target_compile_definitions(grpc_cpp_plugin PRIVATE GRPC_CUSTOM_CSHARP_GETCLASSNAME)
target_include_directories(grpc_cpp_plugin PRIVATE
  ${CCORE_SOURCE} ${CCORE_SOURCE}/include ${CCORE_SOURCE}/third_party/abseil-cpp)
target_link_libraries(grpc_cpp_plugin PRIVATE protobuf::libprotoc protobuf::libprotobuf)

# generate_grpc(TARGET PROTO): a library of the messages and the service.
function(generate_grpc target proto)
  get_filename_component(directory ${proto} ABSOLUTE)
  get_filename_component(name ${directory} NAME_WE)
  get_filename_component(directory ${directory} DIRECTORY)
  set(into ${CMAKE_CURRENT_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${into})
  set(outputs ${into}/${name}.pb.cc ${into}/${name}.pb.h ${into}/${name}.grpc.pb.cc ${into}/${name}.grpc.pb.h)
  add_custom_command(
    OUTPUT ${outputs}
    COMMAND protobuf::protoc --proto_path=${directory} --cpp_out=${into} --grpc_out=${into}
            --plugin=protoc-gen-grpc=$<TARGET_FILE:grpc_cpp_plugin> ${directory}/${name}.proto
    DEPENDS ${directory}/${name}.proto grpc_cpp_plugin
    VERBATIM)
  add_library(${target} STATIC ${outputs})
  target_include_directories(${target} SYSTEM PUBLIC ${into})
  target_link_libraries(${target} PUBLIC grpcxx)
endfunction()
