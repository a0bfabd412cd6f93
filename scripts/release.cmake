# Role: how scripts/release compiles the C-core: as scripts/ccore.cmake does, for a profile of its use, and for optimisation
# at link time. FANSTREAM_PROFILE is `generate` or `use`, FANSTREAM_PROFILE_DIR the directory of the profile.
include("${CMAKE_CURRENT_LIST_DIR}/ccore.cmake")

if(NOT PROJECT_NAME STREQUAL "grpc")
  return() # as in ccore.cmake
endif()

# Names of profiles relative to the build, which has another directory in each of the two builds.
set(profile "$ENV{FANSTREAM_PROFILE_DIR}" "-fprofile-prefix-path=${CMAKE_BINARY_DIR}")
if("$ENV{FANSTREAM_PROFILE}" STREQUAL "generate")
  list(TRANSFORM profile PREPEND "-fprofile-generate=" AT 0)
  # Several threads count, so counts must be atomic where the processor can do it.
  add_compile_options(${profile} -fprofile-update=prefer-atomic)
elseif("$ENV{FANSTREAM_PROFILE}" STREQUAL "use")
  list(TRANSFORM profile PREPEND "-fprofile-use=" AT 0)
  # Functions outside the training are compiled as usual, instead of for size.
  add_compile_options(${profile} -fprofile-correction -fprofile-partial-training -Wno-missing-profile)
  # Machine code beside GCC's own, since rustc lists the symbols of a library and reads only the former.
  add_compile_options(-flto=auto -ffat-lto-objects)
else()
  message(FATAL_ERROR "scripts/release.cmake: FANSTREAM_PROFILE is not set; scripts/release sets it")
endif()
