# Role: the C-core as a target, `ccore`: the headers of CCORE_SOURCE and the static libraries in CCORE_BUILD.

foreach(input CCORE_SOURCE CCORE_BUILD)
  if(NOT IS_DIRECTORY "${${input}}")
    message(FATAL_ERROR "-D${input}=DIRECTORY is missing; scripts/ccore_implementations.py knows both")
  endif()
endforeach()
if(NOT EXISTS "${CCORE_BUILD}/libgrpc.a")
  message(FATAL_ERROR "there is no libgrpc.a in ${CCORE_BUILD}: build the Rust programs first")
endif()

find_package(OpenSSL REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)

# All libraries, including Abseil's: the linker takes the needed parts in any order.
file(GLOB_RECURSE CCORE_LIBRARIES CONFIGURE_DEPENDS "${CCORE_BUILD}/*.a")

add_library(ccore INTERFACE)
target_include_directories(ccore SYSTEM INTERFACE ${CCORE_SOURCE}/include ${CCORE_SOURCE}/third_party/abseil-cpp)
target_link_libraries(ccore INTERFACE
  -Wl,--start-group ${CCORE_LIBRARIES} -Wl,--end-group
  OpenSSL::SSL OpenSSL::Crypto ZLIB::ZLIB Threads::Threads ${CMAKE_DL_LIBS} m)
