// Threads that share the blocks of a launch. specs/backends.md
//
// OpenMP's runtime does not survive a fork: a child process, such as a worker of PyTorch's DataLoader, waits for ever for
// threads that only its parent has. Here a process that finds itself forked makes threads of its own.
#ifndef CUBRAGG_HOST_THREADS_HPP
#define CUBRAGG_HOST_THREADS_HPP

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>
#include <unistd.h>

// Time after which a thread without work ends.
#define IDLE_SECONDS 2

// Threads of one launch at a time.
class Team {
public:
    typedef void (*Task)(void *context, long long number);

    // Run task(context, 0 .. count - 1), in any order, on up to `threads` threads of which the caller is one.
    void run(long long count, int threads, Task task_, void *context_)
    {
        std::unique_lock<std::mutex> lock(mutex);
        task = task_, context = context_, total = count;
        next = 0;
        const int helpers = (int)std::min<long long>(threads, count) - 1;
        hire(helpers);
        openings = std::min(helpers, hired);
        lock.unlock();
        if (helpers > 0) start.notify_all();
        work();
        lock.lock();
        openings = 0;
        finished.wait(lock, [this] { return busy == 0; });
    }

private:
    std::mutex mutex;
    std::condition_variable start, finished;
    int hired = 0;     // threads besides the callers'
    int openings = 0;  // threads that may still join the launch
    int busy = 0;      // threads that joined it
    Task task = nullptr;
    void *context = nullptr;
    long long total = 0;
    std::atomic<long long> next{0};

    // Start threads up to `count`, or as many as the system permits.
    void hire(int count)
    {
        try {
            for (; hired < count; ++hired) std::thread(&Team::serve, this).detach();
        } catch (const std::system_error &) {
        }
    }

    void serve()
    {
        std::unique_lock<std::mutex> lock(mutex);
        while (start.wait_for(lock, std::chrono::seconds(IDLE_SECONDS), [this] { return openings > 0; })) {
            --openings, ++busy;
            lock.unlock();
            work();
            lock.lock();
            if (--busy == 0) finished.notify_one();
        }
        --hired;
    }

    void work()
    {
        for (long long number; (number = next++) < total;) task(context, number);
    }
};

// The teams of a process that have no launch; launches of several Python threads each take one.
struct Teams {
    const pid_t owner;
    std::mutex mutex;
    std::vector<Team *> idle;
};
static std::atomic<Teams *> process_teams{nullptr};

// Those of a parent process are left alone, as their locks may be held by threads that this process does not have.
static Teams &own_teams()
{
    Teams *found = process_teams;
    if (found == nullptr || found->owner != getpid()) {
        Teams *fresh = new Teams{getpid(), {}, {}};
        if (process_teams.compare_exchange_strong(found, fresh)) return *fresh;
        delete fresh;  // another thread was faster, and `found` is its value
    }
    return *found;
}

// Run task(0 .. count - 1), in any order, on up to `threads` threads.
template <typename F> static void run_parallel(long long count, int threads, F task)
{
    if (threads <= 1 || count <= 1) {
        for (long long number = 0; number < count; ++number) task(number);
        return;
    }
    Teams &teams = own_teams();
    Team *team = nullptr;
    {
        std::lock_guard<std::mutex> lock(teams.mutex);
        if (!teams.idle.empty()) {
            team = teams.idle.back();
            teams.idle.pop_back();
        }
    }
    if (team == nullptr) team = new Team;
    team->run(count, threads, [](void *context, long long number) { (*static_cast<F *>(context))(number); }, &task);
    std::lock_guard<std::mutex> lock(teams.mutex);
    teams.idle.push_back(team);
}

#endif
