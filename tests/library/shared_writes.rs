//! Responses of many calls on one connection share writes. The C-core needs the patch
//! `0009-write-before-poll`.

#![cfg(target_os = "linux")] // the patches are applied there

use std::collections::BTreeSet;

use super::{builder, count, COUNT};
use crate::common::http2::{data, Http2};
use crate::common::process::eventually;

/// A request for five responses.
const FIVE: &[u8] = &[0, 0, 0, 0, 2, 0x08, 0x05];
const CALLS: usize = 64;

/// The segments with which the server answers calls that arrive together.
fn segments() -> u32 {
    let server = builder().add_service(count()).start().unwrap();
    let address = server.bound()[0].address.to_string();
    let mut client = Http2::connect(&address, COUNT.name, true).unwrap();
    let mut calls = BTreeSet::new();
    let mut requests = Vec::new();
    for _ in 0..CALLS {
        let call = client.open(&mut requests);
        data(&mut requests, call, FIVE, true);
        calls.insert(call);
    }
    client.send(&requests).unwrap();
    eventually(|| (client.endings().len() == CALLS).then_some(()));
    assert!(client.endings().into_keys().collect::<BTreeSet<_>>() == calls);
    client.segments_received()
}

/// Without the patch each call costs two writes, its headers with the first response and the rest,
/// and each is a segment.
#[test]
fn responses_of_many_calls_share_writes() {
    // A busy machine may run the workers so late that fewer responses are ready together.
    let fewest = (0..5).map(|_| segments()).min();
    assert!(fewest.is_some_and(|n| n < 64), "{fewest:?} segments");
}
