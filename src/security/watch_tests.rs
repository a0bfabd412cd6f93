//! Tests of the watch: its lines in the log, and that no group delays another.

use std::sync::mpsc;

use super::super::files::{FileRole, Source};
use super::*;

/// The deadline of every wait.
const TIMEOUT: Duration = Duration::from_secs(30);

const NOTHING: Vec<Line> = Vec::new();

/// Two groups, and what their threads are asked.
fn watch() -> (Watch, [Receiver<bool>; 2], Instant) {
    let (ask_tokens, tokens) = unbounded();
    let (ask_key, key) = unbounded();
    let tokens_member = Member::new("the token file".into(), ask_tokens);
    let key_member = Member::new("the key".into(), ask_key);
    let watch = Watch::new(vec![tokens_member, key_member]);
    (watch, [tokens, key], Instant::now())
}

fn asked(threads: &[Receiver<bool>; 2]) -> [Option<bool>; 2] {
    [0, 1].map(|index| threads[index].try_recv().ok())
}

fn info(text: &str) -> Vec<Line> {
    vec![Line::Info(text.into())]
}

fn bad() -> Outcome {
    Outcome::Unusable(Source::new(FileRole::Tokens, "t").error("bad"))
}

#[test]
fn a_slow_group_delays_no_other_and_is_reported_once() {
    let (mut watch, threads, start) = watch();
    assert_eq!(watch.tick(start), NOTHING);
    assert_eq!(asked(&threads), [Some(false), Some(false)]);
    watch.answer(1, Outcome::Unchanged, start);
    let mut lines = Vec::new();
    for seconds in 1..20 {
        let now = start + Duration::from_secs(seconds);
        lines.extend(watch.tick(now));
        assert_eq!(asked(&threads), [None, Some(false)]);
        lines.extend(watch.answer(1, Outcome::Unchanged, now));
    }
    assert_eq!(lines, [Line::Warn(late("the token file"))]);
    let back = watch.answer(0, Outcome::Unchanged, start);
    assert_eq!(back, info("the token file can be read again"));
    assert_eq!(watch.tick(start), NOTHING);
    assert_eq!(asked(&threads), [Some(false), Some(false)]);
}

#[test]
fn an_outcome_is_logged() {
    let (mut watch, _threads, now) = watch();
    watch.tick(now);
    let reloaded = watch.answer(0, Outcome::Reloaded, now);
    assert_eq!(reloaded, info("reloaded the token file"));
    let text = "the token file `t`: bad; the last usable version stays in use";
    let unusable = watch.answer(0, bad(), now);
    assert_eq!(unusable, [Line::Error(text.into())]);
}

#[test]
fn a_demand_has_one_line() {
    let (mut watch, threads, now) = watch();
    assert_eq!(watch.demand(now), NOTHING);
    assert_eq!(asked(&threads), [Some(true), Some(true)]);
    assert_eq!(watch.answer(1, Outcome::Reloaded, now), NOTHING);
    let line = watch.answer(0, Outcome::Unchanged, now);
    assert_eq!(
        line,
        info("reloaded the key; nothing new in the token file")
    );
}

#[test]
fn a_demand_during_a_look_has_another_look() {
    let (mut watch, threads, now) = watch();
    watch.tick(now);
    asked(&threads);
    watch.demand(now);
    assert_eq!(asked(&threads), [None, None]);
    assert_eq!(watch.answer(0, Outcome::Unchanged, now), NOTHING);
    assert_eq!(watch.answer(1, Outcome::Unchanged, now), NOTHING);
    assert_eq!(asked(&threads), [Some(true), Some(true)]);
    watch.answer(0, bad(), now);
    let line = watch.answer(1, Outcome::Unchanged, now);
    let text = "nothing new in the key; \
                the token file `t`: bad; the last usable version stays in use";
    assert_eq!(line, [Line::Error(text.into())]);
}

#[test]
fn a_demand_during_another_one_follows_it() {
    let (mut watch, threads, now) = watch();
    watch.demand(now);
    asked(&threads);
    watch.answer(0, Outcome::Unchanged, now);
    // The token file may have changed since.
    watch.demand(now);
    assert_eq!(watch.answer(1, Outcome::Unchanged, now).len(), 1);
    assert_eq!(asked(&threads), [Some(true), Some(true)]);
}

#[test]
fn a_slow_group_does_not_keep_the_line_of_a_demand() {
    let (mut watch, _threads, start) = watch();
    watch.demand(start);
    watch.answer(1, Outcome::Reloaded, start);
    let lines = watch.tick(start + LATE);
    let late = late("the token file");
    let line = Line::Warn(format!("reloaded the key; {late}"));
    assert_eq!(lines, [Line::Warn(late), line]);
    // Logged as usual.
    let reloaded = watch.answer(0, Outcome::Reloaded, start);
    assert_eq!(reloaded.last(), info("reloaded the token file").last());
}

/// A group whose looks are a test's.
struct Looks<F>(F);

impl<F: Fn(bool) -> Outcome + Send + Sync> Group for Looks<F> {
    fn name(&self) -> String {
        "a file".into()
    }

    fn look(&self, on_demand: bool) -> Outcome {
        self.0(on_demand)
    }
}

#[test]
fn a_group_that_hangs_keeps_no_other_from_being_looked_at() {
    let (release, hung) = unbounded::<()>();
    let (look, looked) = mpsc::channel();
    let hangs = Looks(move |_| {
        let _ = hung.recv();
        Outcome::Unchanged
    });
    let works = Looks(move |on_demand| {
        let _ = look.send(on_demand);
        Outcome::Unchanged
    });
    let watcher = Watcher::start(vec![Arc::new(hangs), Arc::new(works)]).unwrap();
    assert_eq!(looked.recv_timeout(TIMEOUT), Ok(false));
    assert_eq!(looked.recv_timeout(TIMEOUT), Ok(false));
    watcher.look_now();
    while !looked.recv_timeout(TIMEOUT).unwrap() {}
    drop(watcher);
    // The threads end, though one hangs.
    while looked.recv_timeout(TIMEOUT).is_ok() {}
    drop(release);
}
