//! Returns free heap memory to the system, for a program that asks for it: the heap is its own.
//!
//! glibc keeps free pages between used ones. After 10,000 concurrent streams a server held 205 MB;
//! one `malloc_trim` returned 184 MB. It holds the heap's lock meanwhile: 50 ms and more for each
//! gigabyte that is free. So a trim follows only when [`MUCH`] more has become free than there was
//! after the last one, however much is in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Task, Timer, Workers};

/// Between two looks at the heap, of some 30 µs, while it changes. Twice as long after each look at
/// which it has not, up to the other.
const INTERVAL: Duration = Duration::from_millis(400);
const MAX_INTERVAL: Duration = Duration::from_millis(3_200);

/// Free memory that is worth a trim, in bytes.
const MUCH: u32 = 16 << 20;

/// glibc derives its trim threshold from the largest block freed so far: it returns the end of a
/// heap once twice that size is free there. The default of 128 KiB is two large responses. Their
/// pages would be returned each time their channel is empty, and the page faults that bring them
/// back cost 1.4 times the CPU of a 64 KiB response. Freeing a block of this size raises the
/// threshold.
const THRESHOLD_BLOCK: usize = 4 << 20;

/// Looks at the heap until dropped.
pub(super) struct HeapTrim(Arc<Shared>);

struct Shared {
    workers: Workers,
    state: Mutex<State>,
}

struct State {
    /// The least free memory since the last trim.
    least: u32,
    /// The free memory at the last look.
    last: u32,
    interval: Duration,
    /// `None` once stopped.
    timer: Option<Timer>,
}

impl HeapTrim {
    pub(super) fn start(workers: Workers) -> HeapTrim {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(
            THRESHOLD_BLOCK,
        )));
        let free = free_memory();
        let state = Mutex::new(State {
            least: free,
            last: free,
            interval: INTERVAL,
            timer: None,
        });
        let shared = Arc::new(Shared { workers, state });
        shared.look_later(&mut shared.lock());
        HeapTrim(shared)
    }
}

impl Drop for HeapTrim {
    fn drop(&mut self) {
        if let Some(timer) = self.0.lock().timer.take() {
            self.0.workers.cancel(timer);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_later(self: &Arc<Self>, state: &mut State) {
        let due = Instant::now() + state.interval;
        state.timer = Some(self.workers.submit_at(due, self.clone()));
    }
}

impl Task for Shared {
    fn run(self: Arc<Self>) {
        let free = free_memory();
        let is_much = {
            let mut state = self.lock();
            state.interval = match state.last == free {
                true => (2 * state.interval).min(MAX_INTERVAL),
                false => INTERVAL,
            };
            // While much becomes free at each look, more is to come.
            let rises = free.saturating_sub(state.last) >= MUCH / 4;
            state.last = free;
            state.least = state.least.min(free);
            !rises && free - state.least >= MUCH
        };
        if is_much {
            trim_heap();
        }
        let mut state = self.lock();
        if is_much {
            // What has been returned still counts as free.
            state.least = free_memory();
        }
        if state.timer.is_some() {
            self.look_later(&mut state);
        }
    }
}

/// The free memory of the heap in bytes, up to 4 GiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn free_memory() -> u32 {
    // SAFETY: `mallinfo` takes no pointers and may be called at any time from any thread.
    let info = unsafe { libc::mallinfo() };
    // glibc cuts the number to 32 bits.
    info.fordblks as u32
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn trim_heap() {
    // SAFETY: `malloc_trim` takes no pointers and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators return memory by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn free_memory() -> u32 {
    0
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim_heap() {}
