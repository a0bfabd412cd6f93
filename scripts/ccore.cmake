# Role: how the gRPC C-core is compiled: with our patches (scripts/ccore), and faster. scripts/env hands it to CMake as
# CMAKE_TOOLCHAIN_FILE, the one door that grpcio-sys leaves open. A build without it works too, but takes longer and
# lacks the patches: docs/SECURITY.md. cargo watches neither this file nor the patches; scripts/env does.

if(NOT PROJECT_NAME STREQUAL "grpc" OR NOT CMAKE_HOST_SYSTEM_NAME STREQUAL "Linux")
  return() # another crate's project, CMake's own compiler checks, or a system where nobody has tried this
endif()

# CMake 4 refuses the old minimum versions that some sub-projects ask for.
set(CMAKE_POLICY_VERSION_MINIMUM 3.5)

# Cargo asks for position-independent code, in which GCC by default inlines no function that it exports.
add_compile_options(-fno-semantic-interposition)
# Some sources forget this header, which GCC 13 and later no longer bring in by chance.
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include cstdint>")
# Clang 19 and later refuse `template` before a name without arguments, as the C-core has it.
add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,Clang,AppleClang>:-Wno-missing-template-arg-list-after-template-kw>")

if(CMAKE_VERSION VERSION_LESS 3.19)
  message(FATAL_ERROR "scripts/ccore.cmake: CMake 3.19 or newer is needed (this is ${CMAKE_VERSION})")
endif()

# Our patches. They are applied to copies, which stand in for the sources that the crate ships. Each original must be
# the one that a patch was written for.
set(FANSTREAM_PATCHES "${CMAKE_CURRENT_LIST_DIR}/ccore")

# Lets the target that compiles `file` compile `patched` instead. A target has the names of its sources as it gave them:
# relative to its own directory.
function(fanstream_replace_source file patched)
  if(file MATCHES "\\.h$")
    return() # headers are found through include directories
  endif()
  set(target grpc)
  if(file MATCHES "^third_party/cares/")
    set(target c-ares)
    if(NOT TARGET c-ares)
      return() # gRPC_CARES_PROVIDER is `package`: the system's c-ares has the system's fixes
    endif()
  endif()
  get_target_property(directory ${target} SOURCE_DIR)
  get_target_property(sources ${target} SOURCES)
  file(RELATIVE_PATH name "${directory}" "${PROJECT_SOURCE_DIR}/${file}")
  list(TRANSFORM sources REPLACE "^${name}$" "${patched}")
  if(NOT patched IN_LIST sources)
    message(FATAL_ERROR "scripts/ccore.cmake: the target ${target} does not compile ${file}, which a patch changes")
  endif()
  set_target_properties(${target} PROPERTIES SOURCES "${sources}")
endfunction()

function(fanstream_patch_sources)
  file(GLOB patches "${FANSTREAM_PATCHES}/*.patch") # in order of their names
  set(fresh "${CMAKE_BINARY_DIR}/fanstream/fresh")
  set(patched "${CMAKE_BINARY_DIR}/fanstream/patched")
  file(REMOVE_RECURSE "${fresh}")
  file(STRINGS "${FANSTREAM_PATCHES}/originals.sha256" originals)
  foreach(original ${originals})
    string(REGEX MATCH "^([0-9a-f]+)  (.+)$" _ "${original}")
    set(expected "${CMAKE_MATCH_1}")
    set(file "${CMAKE_MATCH_2}")
    file(SHA256 "${PROJECT_SOURCE_DIR}/${file}" found)
    if(NOT found STREQUAL expected)
      message(FATAL_ERROR "scripts/ccore.cmake: ${PROJECT_SOURCE_DIR}/${file} is not the file that our patches change "
        "(SHA-256 ${found}, not ${expected}). Adapt scripts/ccore/*.patch to this version of grpcio-sys.")
    endif()
    configure_file("${PROJECT_SOURCE_DIR}/${file}" "${fresh}/${file}" COPYONLY)
    list(APPEND files "${file}")
  endforeach()
  find_program(FANSTREAM_PATCH patch)
  if(NOT FANSTREAM_PATCH)
    message(FATAL_ERROR "scripts/ccore.cmake: the program `patch` is missing: install the package of that name (in a checkout of fanstream, scripts/setup does)")
  endif()
  foreach(patch ${patches})
    execute_process(COMMAND "${FANSTREAM_PATCH}" --strip=1 --fuzz=0 --batch --input=${patch}
      WORKING_DIRECTORY "${fresh}" RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(failed)
      message(FATAL_ERROR "scripts/ccore.cmake: ${patch} does not apply:\n${said}")
    endif()
  endforeach()
  foreach(file ${files})
    configure_file("${fresh}/${file}" "${patched}/${file}" COPYONLY) # leaves alone what has not changed
    fanstream_replace_source("${file}" "${patched}/${file}")
  endforeach()
  # First, so that every source sees the patched headers.
  target_include_directories(grpc BEFORE PRIVATE "${patched}")
endfunction()
cmake_language(DEFER CALL fanstream_patch_sources)

# Nothing here uses xDS, which is 44 % of the C-core's sources. Two of its protos stay: those of load reports (ORCA).
function(fanstream_leave_out_xds)
  string(CONCAT xds "^src/core/ext/("
    "xds/|upbdefs-generated/|upb-generated/(envoy|opencensus|udpa|google/api/(expr|httpbody))"
    "|upb-generated/xds/(annotations|core|type)/"
    "|filters/(rbac|server_config_selector|stateful_session)/"
    "|filters/client_channel/(resolver/(xds|google_c2p)|lb_policy/(xds|ring_hash))/"
    ")|^src/core/lib/security/credentials/xds/")
  get_target_property(sources grpc SOURCES)
  list(FILTER sources EXCLUDE REGEX "${xds}")
  set_target_properties(grpc PROPERTIES SOURCES "${sources}")
  target_compile_definitions(grpc PRIVATE GRPC_NO_XDS)
endfunction()
cmake_language(DEFER CALL fanstream_leave_out_xds)

# Most of the time goes into the same headers, again for each of 450 files: compile 16 of them as one. Kept alone are
# - what messages pass through: merged, GCC inlined less of it, and a message cost 1.6 % more instructions;
# - C, and the files that define the same file-local names as a neighbour.
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
