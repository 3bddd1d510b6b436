// Whose light it is: sums for each reflection of a panel, in place of an image. specs/truth.md
// Host only: render.cu includes <vector> for it.
//
// A term belongs to the reflection nearest to its sample. Neighbouring terms of a pixel are mostly one reflection's:
// a `Tally` adds those up, and only where that changes does a sum go to the tile's table of pixels and reflections.
// When a tile is through, the factors of its pixels are known, and its table goes into that of its segment, a run of
// tiles with a fixed place in the image. Segments are added up in their order: threads touch no bit.
#ifndef CUBRAGG_ACCOUNTS_CUH
#define CUBRAGG_ACCOUNTS_CUH
#if CREDITED

#include "portable.cuh"
#include "params.cuh"

// Tiles of a segment.
#define SEGMENT_TILES (256 / TILE_FAST)

// Sums of a few columns by key, in the order in which keys came.
template <int COLUMNS> class Table {
public:
    struct Row {
        long long key;
        double sums[COLUMNS];
        std::size_t slot;
    };

    std::vector<Row> rows;

    // The row of a key; zeros if it is new.
    Row &at(long long key)
    {
        if (last < rows.size() && rows[last].key == key) return rows[last];
        if (2 * rows.size() >= slots.size()) grow();
        std::size_t slot = home(key);
        while (slots[slot] != FREE && rows[slots[slot]].key != key) slot = (slot + 1) % slots.size();
        if (slots[slot] == FREE) {
            slots[slot] = rows.size();
            rows.push_back({key, {}, slot});
        }
        last = slots[slot];
        return rows[last];
    }

    void clear()
    {
        for (const Row &row : rows) slots[row.slot] = FREE;
        rows.clear();
    }

private:
    static constexpr std::size_t FREE = ~std::size_t(0);
    std::vector<std::size_t> slots;  // a power of 2 of them, the places of rows
    std::size_t last = 0;            // row of the key asked for before
    int shift = 64;

    // The golden ratio's multiples spread keys over all slots.
    std::size_t home(long long key) const { return (unsigned long long)key * 0x9E3779B97F4A7C15ull >> shift; }

    void grow()
    {
        shift = slots.empty() ? 64 - 6 : shift - 1;
        slots.assign(std::size_t(1) << (64 - shift), FREE);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            std::size_t slot = home(rows[i].key);
            while (slots[slot] != FREE) slot = (slot + 1) % slots.size();
            slots[slot] = i;
            rows[i].slot = slot;
        }
    }
};

// Columns: photons; photons times fast, slow [pixel], phi [rad]; times fast and slow of the pixels' middles; photons
// in pixels on the rim; photons times the share of others in their pixel.
#define REFLECTION_COLUMNS 8
typedef Table<REFLECTION_COLUMNS> Reflections;

struct Segment {
    Table<4> pixels;  // of the tile in turn
    Reflections reflections;
};

// What a launch adds to; made and read by `accounts_` functions.
struct Account {
    int columns;  // segments of a row of tiles
    std::vector<Segment> segments;
    Reflections total;
};

// Columns of the table of orientations `turns`: an index's scalar product with the first three is the speed out of the
// sphere, or 0; spindle angle [rad].
#define TURN_PHI 3
#define TURN_COLUMNS 4

// The number of a reflection; `reach` holds the largest index of each axis. cubragg/reflections/reflection_sums.py: Codes
DEVICE double clipped(double index, double reach) { return index < -reach ? -reach : index > reach ? reach : index; }
DEVICE double code_of(const double *reach, const double *turn, double h, double k, double l)
{
    const double entering = turn[0] * h + turn[1] * k + turn[2] * l < 0.0 ? 1.0 : 0.0;
    const double row = (clipped(h, reach[0]) + reach[0]) * (2.0 * reach[1] + 1.0) + clipped(k, reach[1]) + reach[1];
    return (row * (2.0 * reach[2] + 1.0) + clipped(l, reach[2]) + reach[2]) * 2.0 + entering;
}

// 32-bit words for a tile's pixels.
#define WORDS ((BLOCK + 31) / 32)

// Of each pixel of a tile the reflection in turn, and its light since it came.
struct Tally {
    alignas(64) double code[BLOCK];
    alignas(64) double sums[4][BLOCK];  // photons; times fast, slow in the pixel, and phi
    alignas(64) double part[2][BLOCK];  // terms of the sub-pixel and source in turn, and times phi: to be folded in
    alignas(64) double term[BLOCK], next[BLOCK];
    alignas(64) FLAG changes[WORDS * 32];
};

DEVICE void begin(Tally &tally)
{
    FOR_T
    {
        tally.code[t] = -1.0;
        tally.sums[0][t] = tally.sums[1][t] = tally.sums[2][t] = tally.sums[3][t] = 0.0;
        tally.part[0][t] = tally.part[1][t] = 0.0;
    }
    for (FLAG &changes : tally.changes) changes = 0;
}

// A term of one pixel.
DEVICE void add(Tally &tally, int t, double term, double code, double phi)
{
    const bool changes = term > 0.0 && code != tally.code[t];
    const double same = changes ? 0.0 : term;
    tally.term[t] = term, tally.next[t] = code, tally.changes[t] = changes;
    tally.part[0][t] += same;
    tally.part[1][t] += same * phi;
}

// Terms have `factor` in common, and the place in the pixel.
DEVICE void fold(Tally &tally, int t, double factor, double in_fast, double in_slow)
{
    const double photons = factor * tally.part[0][t];
    tally.sums[0][t] += photons;
    tally.sums[1][t] += photons * in_fast;
    tally.sums[2][t] += photons * in_slow;
    tally.sums[3][t] += factor * tally.part[1][t];
    tally.part[0][t] = tally.part[1][t] = 0.0;
}

DEVICE void enter(const Tally &tally, int t, Table<4> &pixels)
{
    if (!(tally.sums[0][t] > 0.0)) return;
    double *sums = pixels.at((long long)tally.code[t] * BLOCK + t).sums;
    for (int column = 0; column < 4; ++column) sums[column] += tally.sums[column][t];
}

// Pixels go on with the reflection of their last term.
static void turn_over(Tally &tally, double phi, const double *factor, double in_fast, double in_slow,
                      Table<4> &pixels)
{
    for (int word = 0; word < WORDS; ++word) {
        for (unsigned bits = ballot(tally.changes + 32 * word); bits != 0; bits &= bits - 1) {
            const int t = 32 * word + __builtin_ctz(bits);
            fold(tally, t, factor[t], in_fast, in_slow);
            enter(tally, t, pixels);
            for (int column = 0; column < 4; ++column) tally.sums[column][t] = 0.0;
            tally.code[t] = tally.next[t];
            tally.part[0][t] = tally.term[t];
            tally.part[1][t] = tally.term[t] * phi;
        }
    }
}

// A tile is through: photons are terms times `scale` of their pixel. `rim`: beside a pixel that is not rendered.
static void settle(const Params &p, Segment &segment, const double *scale, const unsigned char *rim, int first_fast,
                   int first_slow)
{
    double total[BLOCK] = {};
    for (const Table<4>::Row &row : segment.pixels.rows) total[row.key % BLOCK] += row.sums[0];
    for (const Table<4>::Row &row : segment.pixels.rows) {
        const int t = (int)(row.key % BLOCK);
        const int fast = first_fast + t % TILE_FAST, slow = first_slow + t / TILE_FAST;
        const double in_pixel = total[t] * scale[t], photons = row.sums[0] * scale[t];
        const bool at_rim = rim[(long long)(slow - p.first_row) * p.fast_pixels + fast] != 0;
        double *sums = segment.reflections.at(row.key / BLOCK).sums;
        sums[0] += photons;
        sums[1] += photons * fast + row.sums[1] * scale[t];
        sums[2] += photons * slow + row.sums[2] * scale[t];
        sums[3] += row.sums[3] * scale[t];
        sums[4] += photons * (fast + 0.5);
        sums[5] += photons * (slow + 0.5);
        sums[6] += at_rim ? photons : 0.0;
        sums[7] += in_pixel > 0.0 ? photons * ((in_pixel - photons) / in_pixel) : 0.0;
    }
    segment.pixels.clear();
}

static void add_up(Account &account)
{
    for (const Segment &segment : account.segments) {
        for (const Reflections::Row &row : segment.reflections.rows) {
            double *sums = account.total.at(row.key).sums;
            for (int column = 0; column < REFLECTION_COLUMNS; ++column) sums[column] += row.sums[column];
        }
    }
    account.segments.clear();
}

// As `launch`, with a thread for each segment.
template <typename... Args>
static void launch_segments(void (*kernel)(Args...), int columns, int rows, int threads, void **arguments)
{
    Account &account = **static_cast<Account **>(arguments[sizeof...(Args) - 1]);
    account.columns = (columns + SEGMENT_TILES - 1) / SEGMENT_TILES;
    account.segments.resize((std::size_t)account.columns * rows);
    const long long segments = (long long)account.segments.size();
    (void)threads;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (long long number = 0; number < segments; ++number) {
        const int first = (int)(number % account.columns) * SEGMENT_TILES;
        for (int column = first; column < columns && column < first + SEGMENT_TILES; ++column) {
            blockIdx.x = column;
            blockIdx.y = (int)(number / account.columns);
            call(kernel, arguments, typename PlacesTo<sizeof...(Args)>::type());
        }
        account.segments[number].pixels = Table<4>();
    }
    add_up(account);
}

#define HOST_SEGMENTS(name) \
    extern "C" void host_##name(int columns, int rows, int threads, void **arguments) \
    { \
        launch_segments(name, columns, rows, threads, arguments); \
    }

extern "C" Account *accounts_open() { return new Account(); }
extern "C" long long accounts_size(const Account *account) { return (long long)account->total.rows.size(); }
extern "C" void accounts_read(const Account *account, long long *codes, double *values)
{
    for (const Reflections::Row &row : account->total.rows) {
        *codes++ = row.key;
        for (double sum : row.sums) *values++ = sum;
    }
}
extern "C" void accounts_close(Account *account) { delete account; }

#endif
#endif
