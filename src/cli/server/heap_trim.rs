//! Returns the free memory of this process to the system: the heap is the program's, not the
//! library's.
//!
//! glibc keeps free pages between used ones. After 10,000 concurrent streams a server held 205 MB;
//! one `malloc_trim` returned 184 MB. It holds the heap's lock meanwhile: 50 ms and more for each
//! gigabyte that is free. So a trim follows only when [`MUCH`] more has become free than there was
//! after the last one, however much is in use.

use std::io;
use std::thread;
use std::time::Duration;

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

/// Starts a thread that trims the heap for as long as the process lasts.
///
/// # Errors
/// The system refused a thread.
pub fn trim_heap_when_free() -> io::Result<()> {
    let block = Vec::<u8>::with_capacity(THRESHOLD_BLOCK);
    drop(std::hint::black_box(block));
    let mut heap = Heap::new(free_memory());
    let thread = thread::Builder::new().name("fanstream-trim".into());
    let look = move || loop {
        thread::sleep(heap.interval);
        if heap.look(free_memory()) {
            trim_heap();
            // What has been returned still counts as free.
            heap.least = free_memory();
        }
    };
    thread.spawn(look).map(drop)
}

/// The free memory of the heap at the looks so far.
struct Heap {
    /// The least since the last trim.
    least: u32,
    /// That at the last look.
    last: u32,
    /// The time until the next look.
    interval: Duration,
}

impl Heap {
    fn new(free: u32) -> Heap {
        Heap {
            least: free,
            last: free,
            interval: INTERVAL,
        }
    }

    /// Whether to trim the heap now.
    fn look(&mut self, free: u32) -> bool {
        self.interval = match self.last == free {
            true => (2 * self.interval).min(MAX_INTERVAL),
            false => INTERVAL,
        };
        // While much becomes free at each look, more is to come.
        let rises = free.saturating_sub(self.last) >= MUCH / 4;
        self.last = free;
        self.least = self.least.min(free);
        !rises && free - self.least >= MUCH
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_trimmed_once_much_has_become_free() {
        let mut heap = Heap::new(2 * MUCH);
        let looks = [MUCH, MUCH, 4 * MUCH, 4 * MUCH].map(|free| heap.look(free));
        // Not at the third: more may be to come.
        assert_eq!(looks, [false, false, false, true]);
        heap.least = 4 * MUCH;
        assert!(!heap.look(4 * MUCH), "as much as after the trim");
        // In use again, and free again.
        assert!(!heap.look(MUCH / 2) && !heap.look(2 * MUCH));
        assert!(heap.look(2 * MUCH));
    }

    #[test]
    fn a_heap_that_does_not_change_is_looked_at_seldom() {
        let mut heap = Heap::new(MUCH);
        for _ in 0..5 {
            heap.look(MUCH);
        }
        assert_eq!(heap.interval, MAX_INTERVAL);
        heap.look(MUCH + 1);
        assert_eq!(heap.interval, INTERVAL);
    }
}
