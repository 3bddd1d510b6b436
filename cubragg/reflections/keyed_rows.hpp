// A hash table whose rows keep their order.
#ifndef CUBRAGG_KEYED_ROWS_HPP
#define CUBRAGG_KEYED_ROWS_HPP

#include <cstddef>
#include <vector>

// Values by key, in the order of the first use of each key: a hash table with open addressing.
template <typename Value> class Keyed {
public:
    struct Row {
        long long key;
        Value value;
        std::size_t slot;
    };

    std::vector<Row> rows;

    // Return the number of the row of a key; the value of a new row is zero.
    std::size_t at(long long key)
    {
        if (last < rows.size() && rows[last].key == key) return last;
        if (2 * rows.size() >= slots.size()) grow();
        std::size_t slot = home(key);
        while (slots[slot] != FREE && rows[slots[slot]].key != key) slot = (slot + 1) % slots.size();
        if (slots[slot] == FREE) {
            slots[slot] = rows.size();
            rows.push_back({key, {}, slot});
        }
        last = slots[slot];
        return last;
    }

    void clear()
    {
        for (const Row &row : rows) slots[row.slot] = FREE;
        rows.clear();
    }

private:
    static constexpr std::size_t FREE = ~std::size_t(0);
    std::vector<std::size_t> slots;  // row numbers; the size is a power of 2
    std::size_t last = 0;            // row of the previous key
    int shift = 64;

    // Multiplicative hashing with the golden ratio spreads keys over all slots.
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

#endif
