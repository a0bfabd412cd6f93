//! A queue that grows by blocks. A `VecDeque` of 100,000 tasks moves them all when it grows, too
//! long for the pool's lock. It must not know tasks.

use std::collections::{vec_deque, VecDeque};

const BLOCK: usize = 1024;

pub(super) struct BlockQueue<T> {
    /// Only the first and the last block may hold fewer than [`BLOCK`] entries; only a lone one may
    /// be empty.
    blocks: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for BlockQueue<T> {
    fn default() -> Self {
        BlockQueue {
            blocks: VecDeque::new(),
            len: 0,
        }
    }
}

impl<T> BlockQueue<T> {
    pub(super) fn push(&mut self, value: T) {
        self.len += 1;
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK => block.push_back(value),
            _ => self.blocks.push_back(VecDeque::from([value])),
        }
    }

    /// Takes the first value, and its block if that is empty now. Drop the block outside the lock:
    /// the allocator may take 100 µs.
    pub(super) fn pop(&mut self) -> Option<(T, Option<VecDeque<T>>)> {
        let block = self.blocks.front_mut()?;
        let value = block.pop_front()?;
        self.len -= 1;
        let is_done = block.is_empty() && self.blocks.len() > 1;
        let done = is_done.then(|| self.blocks.pop_front()).flatten();
        Some((value, done))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T> IntoIterator for BlockQueue<T> {
    type Item = T;
    type IntoIter = std::iter::Flatten<vec_deque::IntoIter<VecDeque<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.blocks.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_leave_in_the_order_in_which_they_came() {
        let mut queue = BlockQueue::default();
        let (mut pushed, mut popped) = (0, 0);
        for round in 1..40 {
            for _ in 0..round * 100 {
                queue.push(pushed);
                pushed += 1;
            }
            for _ in 0..round * 90 {
                assert_eq!(queue.pop().map(|(value, _)| value), Some(popped));
                popped += 1;
            }
            assert_eq!(queue.len(), pushed - popped);
        }
        assert!(queue.into_iter().eq(popped..pushed));
        assert!(BlockQueue::<()>::default().pop().is_none());
    }
}
