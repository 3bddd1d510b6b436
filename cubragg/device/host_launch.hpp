// Launches of an entry point on the CPU, with a grid and arguments as CUDA takes them. specs/backends.md
//
// HOST_ENTRY(name) exports host_name(columns, rows, threads, arguments): blocks in any order on `threads` threads.
#ifndef CUBRAGG_HOST_LAUNCH_HPP
#define CUBRAGG_HOST_LAUNCH_HPP

#include "host_threads.hpp"
#include "portable.cuh"

template <typename T> struct Bare { typedef T type; };
template <typename T> struct Bare<const T> { typedef T type; };
template <int... I> struct Places {};
template <int N, int... I> struct PlacesTo : PlacesTo<N - 1, N - 1, I...> {};
template <int... I> struct PlacesTo<0, I...> { typedef Places<I...> type; };

template <typename... Args> constexpr int argument_count(void (*)(Args...)) { return sizeof...(Args); }

template <typename... Args, int... I>
static void call(void (*kernel)(Args...), void **arguments, Places<I...>)
{
    kernel(*static_cast<typename Bare<Args>::type *>(arguments[I])...);
}

// Run one block; arguments come by their addresses.
template <typename... Args> static void run_block(void (*kernel)(Args...), int column, int row, void **arguments)
{
    blockIdx.x = column;
    blockIdx.y = row;
    call(kernel, arguments, typename PlacesTo<sizeof...(Args)>::type());
}

template <typename... Args>
static void launch(void (*kernel)(Args...), int columns, int rows, int threads, void **arguments)
{
    run_parallel((long long)columns * rows, threads, [=](long long block) {
        run_block(kernel, (int)(block % columns), (int)(block / columns), arguments);
    });
}

#define HOST_ENTRY(name) \
    extern "C" void host_##name(int columns, int rows, int threads, void **arguments) \
    { \
        launch(name, columns, rows, threads, arguments); \
    }

#endif
