// Runs one kernel of translated PTX, block after block. specs/backends.md
//
// This text follows BLOCK (threads of a block), SHARED_BYTES, and tables: VARIABLES (offset and size of each shared
// variable), CONSTANTS (address and size of each array in constant memory; both end with zeros), PARAMETERS (number and
// size); it precedes the function `kernel`. translation.py writes both.
//
// The threads of a block are coroutines. Each runs to a barrier, a ballot or its end, in random order; then ballots are
// counted, or, where there are none, all threads go on from the barrier. The first fault ends the launch.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>
#include <ucontext.h>

enum State { RUNNING, AT_BARRIER, AT_BALLOT, DONE };
enum Access { LOAD, STORE };

struct Thread {
    int number;
    State state;
    int line;               // of the PTX instruction at which the thread waits
    unsigned value, result; // of a ballot or barrier: the thread's, and that of all
    ucontext_t context;
};

// The last accesses to a byte. Two accesses collide if one of them stores and they are those of different blocks, or of
// different threads between the same two barriers; `interval` numbers the time between barriers over the whole launch.
struct Use {
    int thread = -1, block = -1;
    long interval = -1;
};
struct Byte { Use load, store; };

struct Array {
    u64 address, bytes, writable;
    std::vector<Byte> *used;
};

static const int STACK_BYTES = 1 << 18, SEVERAL = -2;
static Thread threads[BLOCK];
static char *const stacks = new char[(size_t)BLOCK * STACK_BYTES];
static ucontext_t scheduler;
static Thread *current;
static int block_x, block_y, block_number;
static long interval;
static void *const *arguments;
static std::vector<Array> arrays;
alignas(16) static u8 shared_memory[SHARED_BYTES];
static Byte shared_used[SHARED_BYTES];
static char report[300];
static int report_line;

static void kernel(Thread &thread);

// Faults

static void note(int line, const char *what, u64 address)
{
    if (report_line != 0) return;
    report_line = line;
    snprintf(report, sizeof report, "%s at %llx, thread %d of block %d %d", what, (unsigned long long)address,
             current->number, block_x, block_y);
}
[[noreturn]] static void fault(int line, const char *what, u64 address)
{
    note(line, what, address);
    setcontext(&scheduler);
    __builtin_unreachable();
}

// Memory

static bool collides(const Use &other, int thread)
{
    return other.thread != -1 && (other.block != block_number || (other.interval == interval && other.thread != thread));
}
static void use(Byte &byte, Access access, int thread, int line, u64 address)
{
    if (collides(byte.store, thread)) fault(line, "race: another thread stored", address);
    if (access == STORE && collides(byte.load, thread)) fault(line, "race: another thread loaded", address);
    Use &last = access == STORE ? byte.store : byte.load;
    const bool again = last.block == block_number && last.interval == interval && last.thread != thread;
    last.thread = again ? SEVERAL : thread;
    last.block = block_number;
    last.interval = interval;
}

// Address of shared memory, after its check: an access lies in one variable, and loads what was stored.
__attribute__((noinline)) static u8 *shared(Thread &thread, u64 offset, int size, Access access, int line)
{
    bool inside = false;
    for (const auto &variable : VARIABLES) {
        inside = inside || (offset >= variable[0] && offset + size <= variable[0] + variable[1]);
    }
    if (!inside) fault(line, "access outside shared variables", offset);
    if (offset % size != 0) fault(line, "misaligned access of shared memory", offset);
    for (u64 i = offset; i < offset + size; ++i) {
        if (access == LOAD && shared_used[i].store.thread == -1) fault(line, "load of shared memory without a value", i);
        use(shared_used[i], access, thread.number, line, i);
    }
    return shared_memory + offset;
}

// Address of global or constant memory, after its check. Memory that nothing has filled holds bytes of 0xff.
__attribute__((noinline)) static u8 *global(Thread &thread, u64 address, int size, Access access, int line)
{
    const Array *found = nullptr;
    for (const Array &array : arrays) {
        if (address >= array.address && address + size <= array.address + array.bytes) found = &array;
    }
    if (found == nullptr) fault(line, "access outside the arrays", address);
    if (access == STORE && !found->writable) fault(line, "store to an array that is read", address);
    if (address % size != 0) fault(line, "misaligned access of an array", address);
    u8 *const at = (u8 *)address;
    bool empty = access == LOAD;
    for (int i = 0; i < size; ++i) empty = empty && at[i] == 0xff;
    if (empty) fault(line, "load of an array without a value", address);
    for (int i = 0; found->writable && i < size; ++i) {
        use((*found->used)[address - found->address + i], access, thread.number, line, address + i);
    }
    return at;
}

// Address of a word in global memory that threads change by atomic operations: no two of them collide.
static u8 *atomic(u64 address, int line)
{
    for (const Array &array : arrays) {
        if (address % 4 == 0 && array.writable && address >= array.address && address + 4 <= array.address + array.bytes)
            return (u8 *)address;
    }
    fault(line, "atomic operation outside the arrays", address);
}

// Address in a parameter, after its check.
__attribute__((noinline)) static const u8 *parameter(u64 address, int size, int line)
{
    for (const auto &given : PARAMETERS) {
        const u64 first = (u64)arguments[given[0]];
        if (address >= first && address + size <= first + given[1]) return (const u8 *)address;
    }
    fault(line, "access outside the parameters", address);
}
template <typename T> static T value_at(const u8 *at)
{
    T value;
    memcpy(&value, at, sizeof value);
    return value;
}
template <typename T> static void set_at(u8 *at, T value) { memcpy(at, &value, sizeof value); }

// Arithmetic that C++ has not, or defines otherwise

template <typename To, typename From> static inline To as(From x)
{
    if constexpr (sizeof(To) == sizeof(From)) {
        To y;
        memcpy(&y, &x, sizeof y);
        return y;
    } else {
        return (To)x;
    }
}
template <typename T> static T poison()
{
    T value;
    memset(&value, 0xff, sizeof value);
    return value;
}
static inline f32 flushed(f32 x) { return as<u32>(x) & 0x7f800000u ? x : as<f32>(as<u32>(x) & 0x80000000u); }
// rcp.approx.ftz.f64: the upper words of operand and result; relative error below 2^-20.
static inline f64 reciprocal(f64 x)
{
    const u64 upper = 0xffffffff00000000ull;
    return as<f64>(as<u64>(1.0 / as<f64>(as<u64>(x) & upper)) & upper);
}
// div.approx.ftz.f32: within two units of the last place.
static inline f32 quotient(f32 a, f32 b) { return flushed(a * flushed((f32)(1.0 / (f64)b))); }
// rsqrt.approx.ftz.f32 and ex2.approx.ftz.f32: within two units of the last place.
static inline f32 inverse_root(f32 x) { return (f32)(1.0 / std::sqrt((f64)flushed(x))); }
static inline f32 power_of_two(f32 x) { return flushed((f32)std::exp2((f64)flushed(x))); }
template <typename T> static T shift_left(T x, u32 n) { return n < 8 * sizeof(T) ? x << n : T(0); }
template <typename T> static T shift_right(T x, u32 n)
{
    return n < 8 * sizeof(T) ? x >> n : T(x < T(0) ? -1 : 0);
}
// Conversion of a whole number: saturated, NaN to 0, of doubles and to 64 bits to the upper bit.
template <typename To, typename From> static To to_integer(From x)
{
    const bool is_signed = To(-1) < To(0);
    const To low = is_signed ? To(To(1) << (8 * sizeof(To) - 1)) : To(0), high = is_signed ? To(~low) : To(-1);
    if (x != x) return sizeof(From) == 8 || sizeof(To) == 8 ? To(To(1) << (8 * sizeof(To) - 1)) : To(0);
    const From limit = std::ldexp(From(1), 8 * sizeof(To) - is_signed);
    return x >= limit ? high : x < (From)low ? low : (To)x;
}

// Barriers and ballots

static unsigned wait(Thread &thread, State state, unsigned value, int line)
{
    thread.state = state;
    thread.value = value;
    thread.line = line;
    swapcontext(&thread.context, &scheduler);
    return thread.result;
}
static unsigned ballot(Thread &thread, bool yes, u32 mask, int line)
{
    if (mask != 0xffffffffu) fault(line, "ballot of a part of a warp", mask);
    return wait(thread, AT_BALLOT, yes, line);
}
static void start()
{
    kernel(*current);
    current->state = DONE;
}

// Let threads go on whose state is `state`: all of `count` from `first`, at the same instruction. Returns the number of them.
static int release(int first, int count, State state, const char *what)
{
    unsigned result = 0;
    int waiting = 0, line = 0;
    bool same = true;
    for (int i = first; i < first + count; ++i) {
        if (threads[i].state != state) continue;
        same = same && (waiting == 0 || threads[i].line == line);
        line = threads[i].line;
        current = threads + i;
        ++waiting;
        result |= state == AT_BALLOT ? (unsigned)(threads[i].value != 0) << (i - first) : threads[i].value != 0;
    }
    if (waiting == 0) return 0;
    if (waiting != count || !same) note(line, what, 0);
    for (int i = first; i < first + count; ++i) {
        threads[i].result = result;
        threads[i].state = RUNNING;
    }
    return waiting;
}

static unsigned long long random_state;
static int random_below(int n)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (int)((random_state >> 33) % (unsigned)n);
}
static void shuffle(std::vector<int> &numbers)
{
    for (int i = (int)numbers.size() - 1; i > 0; --i) std::swap(numbers[i], numbers[random_below(i + 1)]);
}
static std::vector<int> numbers_to(int count)
{
    std::vector<int> numbers(count);
    for (int i = 0; i < count; ++i) numbers[i] = i;
    return numbers;
}

static void run_block(std::vector<int> &order)
{
    memset(shared_memory, 0xff, sizeof shared_memory);
    for (Byte &byte : shared_used) byte = Byte();
    for (int i = 0; i < BLOCK; ++i) {
        Thread &thread = threads[i];
        thread.number = i;
        thread.state = RUNNING;
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = stacks + (size_t)i * STACK_BYTES;
        thread.context.uc_stack.ss_size = STACK_BYTES;
        thread.context.uc_link = &scheduler;
        makecontext(&thread.context, start, 0);
    }
    for (int released = BLOCK; released != 0;) {
        shuffle(order);
        for (int number : order) {
            current = threads + number;
            if (current->state == RUNNING) swapcontext(&scheduler, &current->context);
            if (report_line != 0) return;
        }
        released = 0;
        for (int first = 0; first < BLOCK; first += 32) {
            released += release(first, 32, AT_BALLOT, "ballot that threads of the warp do not reach,");
        }
        if (released == 0) {
            ++interval;
            released = release(0, BLOCK, AT_BARRIER, "barrier that threads do not reach,");
        }
        if (report_line != 0) return;
    }
}

// Run a grid. `table` has address, bytes and whether it is stored to, of each array. Returns the PTX line of the first
// fault, 0 without one, and its text.
extern "C" int launch(int columns, int rows, void *const *given, const u64 *table, int count, unsigned long long seed,
                      const char **text)
{
    std::vector<std::vector<Byte>> used(count);
    arrays.clear();
    for (int i = 0; i < count; ++i) {
        used[i].resize(table[3 * i + 2] != 0 ? table[3 * i + 1] : 0);
        arrays.push_back({table[3 * i], table[3 * i + 1], table[3 * i + 2], &used[i]});
    }
    for (const auto &constant : CONSTANTS) arrays.push_back({constant[0], constant[1], 0, nullptr});
    arguments = given;
    report_line = 0;
    interval = 0;
    random_state = seed;
    std::vector<int> order = numbers_to(BLOCK), blocks = numbers_to(columns * rows);
    shuffle(blocks);
    for (int block : blocks) {
        block_number = block;
        block_x = block % columns;
        block_y = block / columns;
        ++interval;
        run_block(order);
        if (report_line != 0) break;
    }
    *text = report;
    return report_line;
}
