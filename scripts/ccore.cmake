# Role: how the gRPC C-core is compiled. scripts/env hands it to CMake as CMAKE_TOOLCHAIN_FILE, the one door that
# grpcio-sys leaves open; a build without it works too, but takes longer. cargo does not watch this file:
# after a change, `cargo clean --release -p grpcio-sys`.

if(NOT PROJECT_NAME STREQUAL "grpc" OR NOT CMAKE_HOST_SYSTEM_NAME STREQUAL "Linux")
  return() # another crate's project, CMake's own compiler checks, or a system where nobody has tried this
endif()

# CMake 4 refuses the old minimum versions that some sub-projects ask for.
set(CMAKE_POLICY_VERSION_MINIMUM 3.5)

# Cargo asks for position-independent code, in which GCC by default inlines no function that it exports.
add_compile_options(-fno-semantic-interposition)
# Some sources forget this header, which GCC 13 and later no longer bring in by chance.
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include cstdint>")

# Most of the time goes into the same headers, again for each of 450 files: compile 16 of them as one. Kept alone are
# - what messages pass through: merged, GCC inlined less of it, and a message cost 1.6 % more instructions;
# - C, and the files that define the same file-local names as a neighbour.
if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.19)
  function(fanstream_merge_sources)
    set(hot "src/core/ext/transport/|src/core/ext/filters/(http|message_size|deadline|channel_idle|census)/"
      "|src/core/ext/filters/client_channel/[^/]*$"
      "|src/core/lib/(channel|compression|debug|event_engine|gprpp|iomgr|promise|resource_quota|slice|surface|transport)/")
    set(clashing "\\.c$|/tsi/|/xds_(cluster_manager|channel_stack_modifier)\\."
      "|/(grpc_alts_credentials_server_options|external_account_credentials)\\.")
    list(JOIN hot "" hot)
    list(JOIN clashing "" clashing)
    set_target_properties(grpc PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
    get_target_property(alone grpc SOURCES)
    list(FILTER alone INCLUDE REGEX "${hot}|${clashing}")
    set_source_files_properties(${alone} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endfunction()
  cmake_language(DEFER CALL fanstream_merge_sources)
endif()
