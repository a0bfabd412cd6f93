use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use super::super::testing::{eventually, Count, DEADLINE};
use super::*;

fn channel<T>(messages: usize) -> (Sender<T>, Receiver<T>) {
    bounded(Capacity::messages(messages), |_| 0, None)
}

fn poll<T>(receiver: &Receiver<T>, waker: &Waker) -> Poll<Option<T>> {
    let next = receiver.poll_recv(&mut Context::from_waker(waker));
    next.map(|next| next.map(|queued| queued.message))
}

/// The next message; blocks. `None` at the end.
fn next<T>(receiver: &Receiver<T>) -> Option<T> {
    receiver.recv(None).ok()
}

/// All messages to the end.
fn rest<T>(receiver: Receiver<T>) -> impl Iterator<Item = T> {
    std::iter::from_fn(move || next(&receiver))
}

#[test]
fn messages_arrive_in_order_then_the_end() {
    let (sender, receiver) = channel(4);
    for n in 0..3 {
        sender.try_send(n).unwrap();
    }
    drop(sender);
    assert_eq!(rest(receiver).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn the_end_comes_with_the_drop_of_the_sender() {
    let (sender, receiver) = channel::<u32>(4);
    assert!(matches!(receiver.try_recv(), Err(RecvError::Empty)));
    drop(sender);
    assert!(matches!(receiver.try_recv(), Err(RecvError::Closed)));
}

#[test]
fn a_full_channel_returns_the_message() {
    let (sender, receiver) = channel(2);
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(next(&receiver), Some(1));
    sender.try_send(3).unwrap();
}

#[test]
fn a_sleeping_receiver_is_woken_once_for_many_messages() {
    let (sender, receiver) = channel(8);
    let (count, waker) = Count::new();
    assert_eq!(poll(&receiver, &waker), Poll::Pending);
    for n in 0..5 {
        sender.try_send(n).unwrap();
    }
    assert_eq!(count.get(), 1);
    assert_eq!(poll(&receiver, &waker), Poll::Ready(Some(0)));
    sender.try_send(5).unwrap();
    assert_eq!(count.get(), 1, "the receiver is awake");
}

#[test]
fn a_sender_is_woken_at_the_low_water_mark_and_not_before() {
    let (sender, receiver) = channel(8);
    let (count, waker) = Count::new();
    for n in 0..8 {
        sender.try_send(n).unwrap();
    }
    assert!(!sender.has_free_slot_or_wake(&waker));
    for left in (5..8).rev() {
        next(&receiver).unwrap();
        assert_eq!(count.get(), 0, "{left} messages are left");
    }
    next(&receiver).unwrap();
    assert_eq!(count.get(), 1);
    for _ in 0..4 {
        next(&receiver).unwrap();
    }
    assert_eq!(count.get(), 1, "woken once");
}

#[test]
fn a_closed_channel_refuses_sends_and_delivers_its_queue() {
    let (sender, receiver) = channel(4);
    let (count, waker) = Count::new();
    sender.try_send(1).unwrap();
    sender.close();
    assert_eq!(sender.try_send(2), Err(TrySendError::Closed(2)));
    assert_eq!(poll(&receiver, &waker), Poll::Ready(Some(1)));
    assert_eq!(poll(&receiver, &waker), Poll::Ready(None));
    assert_eq!(count.get(), 0);
}

#[test]
fn closing_wakes_a_sleeping_receiver() {
    let (sender, receiver) = channel::<u32>(4);
    let (count, waker) = Count::new();
    assert_eq!(poll(&receiver, &waker), Poll::Pending);
    sender.close();
    assert_eq!(count.get(), 1);
    assert_eq!(poll(&receiver, &waker), Poll::Ready(None));
}

#[test]
fn dropping_the_receiver_wakes_all_and_frees_the_queue() {
    let (sender, receiver) = channel(2);
    let queued = Arc::new(());
    sender.try_send(queued.clone()).unwrap();
    sender.try_send(queued.clone()).unwrap();
    let (full, full_waker) = Count::new();
    let (listening, listening_waker) = Count::new();
    assert!(!sender.has_free_slot_or_wake(&full_waker));
    sender.wake_on_close(&listening_waker);
    drop(receiver);
    assert_eq!((full.get(), listening.get()), (1, 1));
    assert_eq!(Arc::strong_count(&queued), 1, "the channel holds nothing");
    assert!(sender.is_closed());
    assert!(matches!(
        sender.try_send(queued),
        Err(TrySendError::Closed(_))
    ));
}

#[test]
fn large_messages_take_more_slots() {
    let capacity = Capacity {
        messages: 4,
        bytes: 4000,
    };
    let (sender, receiver) = bounded(capacity, |size: &usize| *size, None);
    sender.try_send(999).unwrap();
    sender.try_send(2000).unwrap();
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(next(&receiver), Some(999));
    sender.try_send(1).unwrap();
}

#[test]
fn a_message_larger_than_the_channel_still_passes() {
    let capacity = Capacity {
        messages: 4,
        bytes: 4000,
    };
    let (sender, receiver) = bounded(capacity, |size: &usize| *size, None);
    sender.try_send(1_000_000).unwrap();
    assert_eq!(sender.try_send(0), Err(TrySendError::Full(0)));
    assert_eq!(next(&receiver), Some(1_000_000));
    sender.try_send(0).unwrap();
}

#[test]
fn a_blocked_receiver_ends_at_the_receive_deadline() {
    let (sender, receiver) = channel(2);
    let blocked = thread::spawn(move || (next(&receiver), next(&receiver), next(&receiver)));
    sender.send(1).unwrap();
    sender.set_receive_deadline(Instant::now() + Duration::from_millis(50));
    sender.send(2).unwrap();
    eventually("the receiver comes back", || blocked.is_finished());
    assert_eq!(blocked.join().unwrap(), (Some(1), Some(2), None));
}

#[test]
fn a_receive_distinguishes_a_timeout_from_the_end() {
    let (sender, receiver) = channel(1);
    let short = Some(Duration::from_millis(10));
    assert_eq!(receiver.recv(short), Err(RecvError::Empty));
    sender.try_send(1).unwrap();
    assert_eq!(receiver.recv(short), Ok(1));
    drop(sender);
    assert_eq!(receiver.recv(Some(DEADLINE)), Err(RecvError::Closed));
    assert_eq!(receiver.recv(Some(Duration::MAX)), Err(RecvError::Closed));
}

#[test]
fn waits_that_end_in_vain_leave_nothing_behind() {
    let (_sender, receiver) = channel::<u32>(1);
    for _ in 0..100 {
        let waited = receiver.recv(Some(Duration::ZERO));
        assert_eq!(waited, Err(RecvError::Empty));
    }
    assert_eq!(receiver.channel.receiver.len(), 0);
}

#[test]
fn a_blocked_sender_returns_when_the_receiver_is_dropped() {
    let (sender, receiver) = channel(1);
    sender.send(0).unwrap();
    let blocked = thread::spawn(move || sender.send(1));
    drop(receiver);
    assert_eq!(blocked.join().unwrap(), Err(SendError(1)));
}

#[test]
fn blocking_threads_lose_nothing_through_the_smallest_channel() {
    const SENDERS: u32 = 4;
    const EACH: u32 = 20_000;
    let (sender, receiver) = channel(1);
    let sender = Arc::new(sender);
    let threads: Vec<_> = (0..SENDERS)
        .map(|index| {
            let sender = sender.clone();
            thread::spawn(move || {
                for n in 0..EACH {
                    sender.send(index * EACH + n).unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    let mut last = [None; SENDERS as usize];
    let mut received = 0;
    while let Ok(message) = receiver.recv(Some(DEADLINE)) {
        let last = &mut last[(message / EACH) as usize];
        assert!(last.is_none_or(|last| last < message), "out of order");
        *last = Some(message);
        received += 1;
    }
    assert_eq!(received, SENDERS * EACH);
    threads.into_iter().for_each(|t| t.join().unwrap());
}

#[test]
fn the_queue_never_exceeds_its_capacity() {
    let (sender, receiver) = channel(8);
    let sender = Arc::new(sender);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let sender = sender.clone();
            thread::spawn(move || (0..5_000).for_each(|n| sender.send(n).unwrap()))
        })
        .collect();
    drop(sender);
    let (mut received, mut most) = (0, 0);
    loop {
        most = most.max(receiver.len());
        if next(&receiver).is_none() {
            break;
        }
        received += 1;
    }
    assert_eq!(received, 20_000);
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert!((1..=8).contains(&most), "{most} were queued");
}

#[test]
fn a_waiting_thread_gets_its_message() {
    let (sender, receiver) = channel(1);
    let started = Arc::new(AtomicBool::new(false));
    let signal = started.clone();
    let waiting = thread::spawn(move || {
        signal.store(true, Ordering::SeqCst);
        next(&receiver)
    });
    eventually("the thread starts", || started.load(Ordering::SeqCst));
    sender.send(7).unwrap();
    assert_eq!(waiting.join().unwrap(), Some(7));
}

#[test]
fn a_receiver_that_closes_gets_the_queued_messages() {
    let (sender, receiver) = channel(2);
    let (count, waker) = Count::new();
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    assert!(!sender.has_free_slot_or_wake(&waker));
    assert!(!receiver.is_closed());
    receiver.closer().wake();
    assert!(receiver.is_closed());
    assert_eq!(count.get(), 1, "the waiting sender is woken");
    assert_eq!(sender.try_send(3), Err(TrySendError::Closed(3)));
    assert_eq!(rest(receiver).collect::<Vec<_>>(), [1, 2]);
}

/// Joins numbers: messages of up to two, sequences of up to 16.
const JOINING: Joining<Vec<u32>> = Joining {
    fits: |joined, size| size <= 8 && joined + size as usize <= 64,
    append: |numbers, bytes| numbers.iter().for_each(|n| bytes.extend(n.to_be_bytes())),
    wrap: |bytes, _| {
        let numbers = bytes.chunks_exact(4);
        numbers
            .map(|n| u32::from_be_bytes(n.try_into().unwrap()))
            .collect()
    },
};

fn joined(messages: usize) -> (Sender<Vec<u32>>, Receiver<Vec<u32>>) {
    bounded(Capacity::messages(messages), |m| 4 * m.len(), Some(JOINING))
}

/// The numbers from `from`, mostly one in a message, sometimes three.
fn send_numbers(sender: &Sender<Vec<u32>>, from: u32, count: u32) {
    let mut n = from;
    while n < from + count {
        let next = n + if n.is_multiple_of(7) { 3 } else { 1 };
        sender.send((n..next.min(from + count)).collect()).unwrap();
        n = next;
    }
}

#[test]
fn small_messages_arrive_joined_and_large_ones_alone() {
    let (sender, receiver) = joined(100);
    for message in [vec![1], vec![2, 3], vec![4, 5, 6], vec![7], vec![8]] {
        sender.try_send(message).unwrap();
    }
    assert_eq!(receiver.channel.slots.taken(), 5);
    let next = || {
        let queued = receiver.try_recv().unwrap();
        (queued.message, queued.count, queued.size)
    };
    assert_eq!(next(), (vec![1, 2, 3], 2, 12));
    assert_eq!(receiver.channel.slots.taken(), 3);
    assert_eq!(next(), (vec![4, 5, 6], 1, 12));
    assert_eq!(next(), (vec![7, 8], 2, 8));
    assert_eq!(receiver.channel.slots.taken(), 0);
    assert!(receiver.is_empty() && receiver.peek() == Err(RecvError::Empty));
}

#[test]
fn headers_go_alone_unless_a_message_takes_them_along() {
    let (sender, receiver) = joined(4);
    sender.send_headers();
    let queued = receiver.try_recv().unwrap();
    assert_eq!((queued.message, queued.count, queued.size), (vec![], 0, 0));
    for message in [vec![1], vec![2, 3, 4]] {
        sender.try_send(message).unwrap();
        sender.send_headers();
        assert_eq!(receiver.try_recv().unwrap().count, 1);
        assert!(receiver.is_empty());
    }
    assert_eq!(receiver.channel.slots.taken(), 0);
    let (sender, receiver) = channel::<u32>(4);
    sender.send_headers();
    assert!(receiver.is_empty(), "this one joins nothing");
}

#[test]
fn a_sequence_that_is_full_is_followed_by_another() {
    let (sender, receiver) = joined(100);
    (0..40).for_each(|n| sender.try_send(vec![n]).unwrap());
    drop(sender);
    let counts: Vec<_> = rest(receiver).map(|numbers| numbers.len()).collect();
    assert_eq!(counts, [16, 16, 8]);
}

/// A message that joins others wakes nobody.
#[test]
fn a_quiet_message_waits_for_its_wake_up() {
    let (sender, receiver) = joined(100);
    let (count, waker) = Count::new();
    let poll = || poll(&receiver, &waker);
    assert_eq!(poll(), Poll::Pending);
    sender.send_quietly(vec![1]).unwrap();
    sender.send_quietly(vec![2]).unwrap();
    assert_eq!(count.get(), 0);
    sender.receiver_waker().wake();
    assert_eq!(count.get(), 1);
    assert_eq!(poll(), Poll::Ready(Some(vec![1, 2])));
    assert_eq!(poll(), Poll::Pending);
    sender.send_quietly(vec![3, 4, 5]).unwrap();
    assert_eq!(count.get(), 2, "one that does not join");
}

/// While the receiver takes them, and while each half frees the memory that the other uses.
#[test]
fn joined_messages_keep_the_order_of_each_sender() {
    const COUNT: u32 = 20_000;
    let (sender, receiver) = joined(100);
    let sender = Arc::new(sender);
    let send = |sender: Arc<Sender<Vec<u32>>>, from: u32| {
        move || {
            for part in (from..from + COUNT).step_by(50) {
                send_numbers(&sender, part, 50);
                sender.free_memory();
            }
        }
    };
    let others = [
        thread::spawn(send(sender.clone(), 0)),
        thread::spawn(send(sender, 1_000_000)),
    ];
    let mut next = [0, 1_000_000];
    while let Ok(numbers) = receiver.recv(None) {
        for n in numbers {
            let of = usize::from(n >= 1_000_000);
            assert_eq!(n, next[of]);
            next[of] += 1;
        }
        receiver.free_memory();
    }
    assert_eq!(next, [COUNT, 1_000_000 + COUNT]);
    others.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(receiver.channel.slots.taken(), 0);
}

#[test]
fn a_receiver_dropped_while_messages_come_frees_all() {
    for _ in 0..2_000 {
        let (sender, receiver) = channel(100);
        let sender = Arc::new(sender);
        let message = Arc::new(());
        sender.try_send(message.clone()).unwrap();
        let other = sender.clone();
        let sent = message.clone();
        let sending = thread::spawn(move || while other.send(sent.clone()).is_ok() {});
        next(&receiver);
        drop(receiver);
        sending.join().unwrap();
        assert_eq!(Arc::strong_count(&message), 1, "the channel holds nothing");
        drop(sender);
    }
}

#[test]
fn a_channel_of_small_messages_makes_no_list() {
    let (sender, receiver) = joined(100);
    (0..10).for_each(|n| sender.try_send(vec![n]).unwrap());
    assert_eq!(receiver.len(), 10);
    assert_eq!(receiver.try_recv().unwrap().message.len(), 10);
    assert!(!sender.channel.queue.has_list());
    sender.try_send(vec![0; 100]).unwrap();
    assert!(sender.channel.queue.has_list());
}
