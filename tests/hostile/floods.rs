//! Clients that send more frames than they need: resets, frames without use, windows.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;

use super::{alone, server};
use crate::common::attack::{calls, calls_until, growth_during, MB};
use crate::common::http2::{
    continuation, data, finish_and_reset, frame, reset, Http2, ACK, ENHANCE_YOUR_CALM, PING,
    REQUEST, RST_STREAM, SETTINGS, UNKNOWN, WINDOW_UPDATE,
};
use crate::common::server::FETCH;

fn attack_length() -> Duration {
    let long = env::var_os("FANSTREAM_LONG").is_some();
    Duration::from_secs(if long { 30 } else { 3 })
}

/// What an attacker sends of a call.
#[derive(Clone, Copy, Debug)]
enum Reset {
    Headers,
    Request,
    /// Trailers, and a reset that names no error.
    WithoutError,
}

/// Opens calls and resets them at once, as fast as possible, and reconnects when the server closes
/// the connection. Returns the number of calls.
fn open_and_reset(address: &str, kind: Reset, length: Duration) -> usize {
    // An attacker has its own machine; here it gets only idle processor time.
    rustix::process::nice(19).unwrap();
    let began = Instant::now();
    let mut opened = 0;
    while began.elapsed() < length {
        let Ok(mut client) = Http2::connect(address, FETCH, true) else {
            continue;
        };
        while began.elapsed() < length && !client.is_over() {
            let mut frames = Vec::new();
            for _ in 0..100 {
                let call = client.open(&mut frames);
                match kind {
                    Reset::Headers => reset(&mut frames, call),
                    Reset::Request => {
                        data(&mut frames, call, REQUEST, true);
                        reset(&mut frames, call);
                    }
                    Reset::WithoutError => finish_and_reset(&mut frames, call),
                }
            }
            if client.send(&frames).is_err() {
                break;
            }
            opened += 100;
        }
        if client.is_over() {
            assert!(matches!(client.goaway(), None | Some(ENHANCE_YOUR_CALM)));
        }
    }
    opened
}

/// CVE-2023-44487. Without the patches: 330 MB after 5 s and 1.1 GB with the request sent before
/// the reset, and others wait for seconds.
#[rstest]
fn rapid_resets(#[values(Reset::Headers, Reset::Request, Reset::WithoutError)] kind: Reset) {
    let _alone = alone();
    let server = server(&[]);
    let channel = server.channel();
    let usual = calls(&channel, 500);
    let ((opened, meanwhile), growth) = growth_during(&server, || {
        thread::scope(|scope| {
            let attack = scope.spawn(|| open_and_reset(&server.address, kind, attack_length()));
            let meanwhile = calls_until(&channel, |_| attack.is_finished());
            (attack.join().unwrap(), meanwhile)
        })
    });
    let more = growth / MB;
    println!("{opened} resets sent: {more} MB more; calls {usual}; meanwhile {meanwhile}");
    assert!(opened > 10_000, "too few resets: {opened}");
    assert!(growth < 100 * MB, "{} MB", growth / MB);
    // A call on an attacker's poll thread takes turns with it, of a millisecond, some four times.
    assert!(
        meanwhile.median() < usual.median() * 2 + Duration::from_millis(10),
        "{meanwhile}"
    );
    assert!(meanwhile.p99() < Duration::from_millis(500), "{meanwhile}");
    // No call waits behind the attack.
    assert!(calls(&channel, 20).slowest() < Duration::from_secs(1));
}

/// What a flood consists of.
#[derive(Clone, Copy, Debug)]
enum Flood {
    EmptyData,
    UnknownFrames,
    WindowUpdates,
    WindowUpdatesOfCall,
    PingAcknowledgements,
    Settings,
    ResetsOfNoCall,
    EmptyContinuations,
    /// Headers of which each byte is a field.
    References,
    /// Large frames of an unknown type: few frames, many bytes.
    LargeUnknownFrames,
}

impl Flood {
    /// Some 64 KiB of it; the first part opens its call, if it needs one.
    fn frames(self, client: &mut Http2) -> (Vec<u8>, Vec<u8>) {
        let (mut first, mut flood) = (Vec::new(), Vec::new());
        let mut call = 0;
        match self {
            Flood::EmptyContinuations | Flood::References => {
                call = client.open_without_end(&mut first);
            }
            _ => {
                call = call.max(client.open(&mut first));
            }
        }
        while flood.len() < 65_536 {
            let to = &mut flood;
            match self {
                Flood::EmptyData => data(to, call, &[], false),
                Flood::UnknownFrames => frame(to, UNKNOWN, 0, 0, &[]),
                Flood::WindowUpdates => frame(to, WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
                Flood::WindowUpdatesOfCall => frame(to, WINDOW_UPDATE, 0, call, &[0, 0, 0, 1]),
                Flood::PingAcknowledgements => frame(to, PING, ACK, 0, &[0; 8]),
                Flood::Settings => frame(to, SETTINGS, 0, 0, &[]),
                Flood::ResetsOfNoCall => frame(to, RST_STREAM, 0, call + 2000, &[0, 0, 0, 8]),
                Flood::EmptyContinuations => continuation(to, call, &[]),
                // :method GET, of the static table.
                Flood::References => continuation(to, call, &[0x82; 16_384]),
                Flood::LargeUnknownFrames => frame(to, UNKNOWN, 0, 0, &[0; 16_384]),
            }
        }
        (first, flood)
    }
}

/// Sends the flood for so long, on one connection after the other; returns the bytes.
fn flood(address: &str, kind: Flood, length: Duration) -> usize {
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < length {
        let Ok(mut client) = Http2::connect(address, FETCH, true) else {
            continue;
        };
        let (first, flood) = kind.frames(&mut client);
        let mut next = client.send(&first);
        while next.is_ok() && began.elapsed() < length && !client.is_over() {
            next = client.send(&flood);
            sent += flood.len();
        }
        if client.is_over() {
            assert!(matches!(client.goaway(), None | Some(ENHANCE_YOUR_CALM)));
        }
    }
    sent
}

/// A connection that sends faster than it is parsed takes turns with all others. Without the patches
/// the calls of its poll thread wait for as long as it likes.
#[rstest]
fn floods_stop_nobody(
    #[values(
        Flood::EmptyData,
        Flood::UnknownFrames,
        Flood::WindowUpdates,
        Flood::WindowUpdatesOfCall,
        Flood::PingAcknowledgements,
        Flood::Settings,
        Flood::ResetsOfNoCall,
        Flood::EmptyContinuations,
        Flood::References,
        Flood::LargeUnknownFrames
    )]
    kind: Flood,
) {
    let _alone = alone();
    let server = server(&[]);
    // Some on each poll thread.
    let channels: Vec<_> = (0..4).map(|_| server.channel()).collect();
    let is_over = AtomicBool::new(false);
    let is_over = &is_over;
    let ((sent, meanwhile), growth) = growth_during(&server, || {
        thread::scope(|scope| {
            let victims: Vec<_> = channels
                .iter()
                .map(|channel| scope.spawn(|| calls_until(channel, |_| is_over.load(Relaxed))))
                .collect();
            let sent = flood(&server.address, kind, attack_length());
            is_over.store(true, Relaxed);
            let ended = victims.into_iter().map(|victim| victim.join().unwrap());
            (sent, ended.collect::<Vec<_>>())
        })
    });
    for victim in &meanwhile {
        println!("{} MB of {kind:?}: calls {victim}", sent as u64 / MB);
        assert!(victim.slowest() < Duration::from_secs(1), "{victim}");
    }
    assert!(sent > 100_000, "too little: {sent} bytes");
    assert!(growth < 50 * MB, "{} MB", growth / MB);
}

/// Below the limit of 200 resets, a client that cancels often has all its calls served.
#[test]
fn fewer_resets_than_the_limit_are_served() {
    let _alone = alone();
    let server = server(&[]);
    let mut client = Http2::connect(&server.address, FETCH, true).unwrap();
    for _ in 0..20 {
        let mut frames = Vec::new();
        for _ in 0..100 {
            let call = client.open(&mut frames);
            data(&mut frames, call, REQUEST, true);
            reset(&mut frames, call);
        }
        let call = client.open(&mut frames);
        data(&mut frames, call, REQUEST, true);
        client.send(&frames).unwrap();
        assert_eq!(client.ending(call).reset, None);
    }
    assert_eq!(client.goaway(), None);
}

/// Clients open the windows of a call as it begins, without a DATA frame to answer.
#[test]
fn windows_of_many_calls_are_no_flood() {
    let _alone = alone();
    let server = server(&["--max-streams-per-connection", "20000"]);
    let mut client = Http2::connect(&server.address, FETCH, true).unwrap();
    let mut frames = Vec::new();
    for _ in 0..10_000 {
        let call = client.open(&mut frames);
        for stream in [call, 0] {
            frame(&mut frames, WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]);
        }
    }
    let call = client.open(&mut frames);
    data(&mut frames, call, REQUEST, true);
    client.send(&frames).unwrap();
    assert_eq!(client.ending(call).reset, None);
    assert_eq!(client.goaway(), None);
}
