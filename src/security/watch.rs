//! Watches files: looks at them periodically and on demand, and logs what changed. It must not know
//! the contents, nor who demands a look.
//!
//! Reading a file of a hung file system never returns. So each group of files has a thread that
//! looks, and one more thread asks them, logs, and never reads. No thread is joined.
//!
//! | event | effect |
//! | --- | --- |
//! | a tick | each idle group is asked to look; one without an answer for [`LATE`] is reported once |
//! | an answer | a change or a failure is logged; a group that was reported late is reported as back |
//! | a demand | each group looks, those that are looking again; one line has all outcomes |
//! | a tick, [`LATE`] after a demand | the line says which groups have not answered |

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{select, tick, unbounded, Receiver, Sender};

use super::files::FileError;

/// Interval between two looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// A look that takes longer is reported. The files are small.
const LATE: Duration = Duration::from_secs(5);

/// Files that are used together.
pub(crate) trait Group: Send + Sync {
    /// What they are, for the log.
    fn name(&self) -> String;

    /// Looks at the files. May block for ever. A look that is not `on_demand` may leave a change to
    /// the next one.
    fn look(&self, on_demand: bool) -> Outcome;
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing new.
    Unchanged,
    /// The new contents are in use.
    Reloaded,
    /// The last usable contents stay in use.
    Unusable(FileError),
}

/// The threads. Dropping this ends them, each after its current look.
#[derive(Default)]
pub(crate) struct Watcher {
    demands: Option<Sender<()>>,
}

impl Watcher {
    /// Starts the threads: one more than there are `groups`, and none without groups.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn start(groups: Vec<Arc<dyn Group>>) -> io::Result<Watcher> {
        if groups.is_empty() {
            return Ok(Watcher::default());
        }
        let (answers, answered) = unbounded();
        let members = groups.into_iter().enumerate();
        let members = members.map(|(index, group)| Member::start(index, group, answers.clone()));
        let watch = Watch::new(members.collect::<Result<_, _>>()?);
        let (demands, demanded) = unbounded();
        thread::Builder::new()
            .name("fanstream-files".into())
            .spawn(move || run(watch, &demanded, &answered))?;
        Ok(Watcher {
            demands: Some(demands),
        })
    }

    /// Has all groups look now. Never blocks: one line in the log has the outcome.
    pub(crate) fn look_now(&self) {
        match &self.demands {
            Some(demands) => {
                // It fails only if the thread has ended, which it does after this sender.
                let _ = demands.send(());
            }
            None => tracing::info!("nothing to reload: there are no TLS files and no token file"),
        }
    }
}

type Answer = (usize, Outcome);

fn run(mut watch: Watch, demanded: &Receiver<()>, answered: &Receiver<Answer>) {
    let ticks = tick(INTERVAL);
    loop {
        let lines = select! {
            recv(demanded) -> demand => match demand {
                Ok(()) => watch.demand(Instant::now()),
                Err(_) => return,
            },
            recv(answered) -> answer => match answer {
                Ok((index, outcome)) => watch.answer(index, outcome, Instant::now()),
                Err(_) => return,
            },
            recv(ticks) -> _ => watch.tick(Instant::now()),
        };
        lines.into_iter().for_each(Line::log);
    }
}

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Info(String),
    Warn(String),
    Error(String),
}

impl Line {
    fn log(self) {
        match self {
            Line::Info(text) => tracing::info!("{text}"),
            Line::Warn(text) => tracing::warn!("{text}"),
            Line::Error(text) => tracing::error!("{text}"),
        }
    }
}

/// A group and its thread.
struct Member {
    name: String,
    /// Asks the thread to look, on demand or not.
    asks: Sender<bool>,
    /// Since when the thread looks.
    asked: Option<Instant>,
    /// Reported as late.
    is_late: bool,
    demand: Demand,
}

/// A member's part of a demand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// None is open, or the member's part is done.
    None,
    /// To be asked, when its current look has ended.
    Waits,
    /// The current look is on demand.
    Looks,
}

impl Member {
    fn start(index: usize, group: Arc<dyn Group>, answers: Sender<Answer>) -> io::Result<Member> {
        let name = group.name();
        let (asks, asked) = unbounded();
        thread::Builder::new()
            .name("fanstream-look".into())
            .spawn(move || {
                for on_demand in asked {
                    if answers.send((index, group.look(on_demand))).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Member::new(name, asks))
    }

    fn new(name: String, asks: Sender<bool>) -> Member {
        Member {
            name,
            asks,
            asked: None,
            is_late: false,
            demand: Demand::None,
        }
    }

    fn ask(&mut self, on_demand: bool, now: Instant) {
        self.asked = Some(now);
        if on_demand {
            self.demand = Demand::Looks;
        }
        // A thread that has ended never answers, so the group is reported late.
        let _ = self.asks.send(on_demand);
    }
}

/// The outcomes of a demand so far.
struct Round {
    began: Instant,
    reloaded: Vec<String>,
    unchanged: Vec<String>,
    unusable: Vec<FileError>,
}

/// The state of all groups.
struct Watch {
    members: Vec<Member>,
    round: Option<Round>,
    /// Another demand came during this one.
    again: bool,
}

impl Watch {
    fn new(members: Vec<Member>) -> Watch {
        Watch {
            members,
            round: None,
            again: false,
        }
    }

    fn tick(&mut self, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        for member in &mut self.members {
            match member.asked {
                None => member.ask(false, now),
                Some(since) if now - since >= LATE && !member.is_late => {
                    member.is_late = true;
                    lines.push(Line::Warn(late(&member.name)));
                }
                Some(_) => {}
            }
        }
        let round = self.round.as_ref();
        if round.is_some_and(|round| now - round.began >= LATE) {
            lines.extend(self.end_round(now));
        }
        lines
    }

    fn answer(&mut self, index: usize, outcome: Outcome, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        let member = &mut self.members[index];
        member.asked = None;
        if member.is_late {
            member.is_late = false;
            lines.push(Line::Info(format!("{} can be read again", member.name)));
        }
        match member.demand {
            Demand::None => lines.extend(found(&member.name, outcome)),
            Demand::Waits => {
                lines.extend(found(&member.name, outcome));
                member.ask(true, now);
            }
            Demand::Looks => {
                member.demand = Demand::None;
                if let Some(round) = &mut self.round {
                    round.add(member.name.clone(), outcome);
                }
                if self.members.iter().all(|m| m.demand == Demand::None) {
                    lines.extend(self.end_round(now));
                }
            }
        }
        lines
    }

    fn demand(&mut self, now: Instant) -> Vec<Line> {
        if self.round.is_some() {
            self.again = true;
            return Vec::new();
        }
        self.round = Some(Round {
            began: now,
            reloaded: Vec::new(),
            unchanged: Vec::new(),
            unusable: Vec::new(),
        });
        for member in &mut self.members {
            match member.asked {
                None => member.ask(true, now),
                Some(_) => member.demand = Demand::Waits,
            }
        }
        Vec::new()
    }

    /// Ends the demand, though members may not have answered.
    fn end_round(&mut self, now: Instant) -> Vec<Line> {
        let silent = self.members.iter_mut().filter_map(|member| {
            let silent = member.demand != Demand::None;
            member.demand = Demand::None;
            silent.then(|| member.name.clone())
        });
        let silent = silent.collect();
        let line = self.round.take().map(|round| round.line(silent));
        if std::mem::take(&mut self.again) {
            self.demand(now);
        }
        line.into_iter().collect()
    }
}

impl Round {
    fn add(&mut self, name: String, outcome: Outcome) {
        match outcome {
            Outcome::Unchanged => self.unchanged.push(name),
            Outcome::Reloaded => self.reloaded.push(name),
            Outcome::Unusable(error) => self.unusable.push(error),
        }
    }

    fn line(self, silent: Vec<String>) -> Line {
        let mut parts = Vec::new();
        if !self.reloaded.is_empty() {
            parts.push(format!("reloaded {}", self.reloaded.join(", ")));
        }
        if !self.unchanged.is_empty() {
            parts.push(format!("nothing new in {}", self.unchanged.join(", ")));
        }
        parts.extend(self.unusable.iter().map(unusable));
        parts.extend(silent.iter().map(|name| late(name)));
        let text = parts.join("; ");
        match (self.unusable.is_empty(), silent.is_empty()) {
            (false, _) => Line::Error(text),
            (true, false) => Line::Warn(text),
            (true, true) => Line::Info(text),
        }
    }
}

fn found(name: &str, outcome: Outcome) -> Option<Line> {
    match outcome {
        Outcome::Unchanged => None,
        Outcome::Reloaded => Some(Line::Info(format!("reloaded {name}"))),
        Outcome::Unusable(error) => Some(Line::Error(unusable(&error))),
    }
}

fn unusable(error: &FileError) -> String {
    format!("{error}; the last usable version stays in use")
}

fn late(name: &str) -> String {
    let seconds = LATE.as_secs();
    format!(
        "reading {name} has taken more than {seconds} s so far; the last usable version stays in use"
    )
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
