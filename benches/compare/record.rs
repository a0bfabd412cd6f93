//! The raw data: a file of JSON lines that only grows. The first line describes the run; each
//! further line is a check, a repetition or the cost of responses that nobody sends. Reading skips
//! a last line that a crash cut off.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};

use crate::common::machine::Machine;
use crate::correctness::Check;
use crate::pair::Measured;
use crate::produce::Produced;
use crate::settings::Settings;
use crate::workload::{Case, Role};

/// The version of the file format.
const FORMAT: u32 = 1;

const FILE: &str = "raw.jsonl";

/// The description of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    format: u32,
    /// Local time, in the format of RFC 3339.
    pub date: String,
    pub machine: Machine,
    pub settings: Settings,
    /// By implementation.
    pub versions: BTreeMap<String, String>,
    /// Implementations that could not be built, with the reason.
    pub missing: BTreeMap<String, String>,
}

impl Header {
    pub fn new(
        date: String,
        machine: Machine,
        settings: Settings,
        versions: BTreeMap<String, String>,
        missing: BTreeMap<String, String>,
    ) -> Header {
        Header {
            format: FORMAT,
            date,
            machine,
            settings,
            versions,
            missing,
        }
    }
}

/// One repetition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub case: Case,
    pub role: Role,
    /// The measured implementation: equal to `server` or `client`, by the role.
    #[serde(alias = "peer")]
    pub implementation: String,
    pub server: String,
    pub client: String,
    pub round: u32,
    pub calls: u32,
    pub warm_up: u32,
    /// The flags of both sides.
    pub shape: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The reason if there is no figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line {
    Header(Box<Header>),
    Check(Check),
    Run(Box<Run>),
    Produced(Produced),
}

/// The contents of the file.
#[derive(Clone, Debug)]
pub struct Records {
    pub header: Header,
    pub checks: Vec<Check>,
    pub runs: Vec<Run>,
    /// The cost of responses that nobody sends.
    pub produced: Vec<Produced>,
}

impl Records {
    pub fn read(directory: &Path) -> Result<Records> {
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Records::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Records> {
        let mut lines = text.lines();
        let first = lines.next().context("it is empty")?;
        let header = match serde_json::from_str(first).context("line 1")? {
            Line::Header(header) if header.format == FORMAT => *header,
            Line::Header(header) => bail!("its format is {}, not {FORMAT}", header.format),
            _ => bail!("its first line is no header"),
        };
        let mut records = Records {
            header,
            checks: Vec::new(),
            runs: Vec::new(),
            produced: Vec::new(),
        };
        let whole = text.ends_with('\n');
        let mut lines = lines.enumerate().peekable();
        while let Some((n, line)) = lines.next() {
            match serde_json::from_str(line) {
                Ok(Line::Check(check)) => records.checks.push(check),
                Ok(Line::Run(run)) => records.runs.push(*run),
                Ok(Line::Produced(produced)) => records.produced.push(produced),
                Ok(Line::Header(_)) => bail!("line {} is a second header", n + 2),
                Err(_) if !whole && lines.peek().is_none() => {}
                Err(error) => return Err(error).with_context(|| format!("line {}", n + 2)),
            }
        }
        Ok(records)
    }

    /// The check of a pair, if it was made.
    pub fn check(&self, server: &str, client: &str, tls: bool) -> Option<&Check> {
        let same =
            |check: &&Check| check.server == server && check.client == client && check.tls == tls;
        self.checks.iter().find(same)
    }
}

/// The open file. Each line is one write.
pub struct Recorder {
    path: PathBuf,
    file: File,
    pub records: Records,
}

impl Recorder {
    /// Creates the file; fails if the directory already has one.
    pub fn create(directory: &Path, header: Header) -> Result<Recorder> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let path = directory.join(FILE);
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        let file =
            file.with_context(|| format!("{} (--resume continues a run)", path.display()))?;
        let mut recorder = Recorder {
            path,
            file,
            records: Records {
                header: header.clone(),
                checks: Vec::new(),
                runs: Vec::new(),
                produced: Vec::new(),
            },
        };
        recorder.write(&Line::Header(Box::new(header)))?;
        Ok(recorder)
    }

    /// Opens the file of a run to resume it.
    pub fn reopen(directory: &Path) -> Result<Recorder> {
        let records = Records::read(directory)?;
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path)?;
        // Removes a line that was cut off, or the next line would be appended to it.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().append(true).open(&path)?;
        file.set_len(whole as u64)?;
        Ok(Recorder {
            path,
            file,
            records,
        })
    }

    pub fn check(&mut self, check: Check) -> Result<()> {
        self.write(&Line::Check(check.clone()))?;
        self.records.checks.push(check);
        Ok(())
    }

    pub fn run(&mut self, run: Run) -> Result<()> {
        self.write(&Line::Run(Box::new(run.clone())))?;
        self.records.runs.push(run);
        Ok(())
    }

    pub fn produced(&mut self, produced: Produced) -> Result<()> {
        self.write(&Line::Produced(produced.clone()))?;
        self.records.produced.push(produced);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| self.path.display().to_string())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::metric::tests::measured;
    use crate::settings::Effort;
    use crate::workload::Workload;

    pub fn header() -> Header {
        let machine = Machine {
            cores: 2,
            processor: "a processor".into(),
            kernel: "Linux".into(),
            commit: "1234567".into(),
        };
        let settings = Settings {
            effort: Effort::Full,
            rounds: 5,
            max_rounds: 0,
            workloads: vec![Workload::Tiny],
            implementations: vec!["fanstream".into(), "go".into()],
            client: None,
            server: "tonic".into(),
            implementation_list: None,
        };
        Header::new(
            "2026-01-01T00:00:00+00:00".into(),
            machine,
            settings,
            BTreeMap::new(),
            BTreeMap::new(),
        )
    }

    /// A repetition of workload `tiny` with this CPU time.
    pub fn run(implementation: &str, round: u32, server_cpu_ns: u64) -> Run {
        Run {
            case: Case {
                workload: Workload::Tiny,
                tls: false,
                point: None,
            },
            role: Role::Server,
            implementation: implementation.into(),
            server: implementation.into(),
            client: "go".into(),
            round,
            calls: 10,
            warm_up: 1,
            shape: "--responses 100".into(),
            measured: Some(measured(server_cpu_ns, 1_000_000)),
            failure: None,
        }
    }

    #[test]
    fn a_file_is_written_read_and_resumed() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut recorder = Recorder::create(directory.path(), header()).expect("new");
        recorder.run(run("go", 0, 5)).expect("written");
        assert!(
            Recorder::create(directory.path(), header()).is_err(),
            "it is there already"
        );

        let path = directory.path().join(FILE);
        let mut cut_off = fs::read_to_string(&path).expect("readable");
        cut_off += r#"{"kind":"run","case""#;
        fs::write(&path, cut_off).expect("writable");

        let mut recorder = Recorder::reopen(directory.path()).expect("there");
        assert_eq!(recorder.records.header, header());
        assert_eq!(recorder.records.runs, [run("go", 0, 5)]);
        recorder.run(run("go", 1, 6)).expect("written");
        let records = Records::read(directory.path()).expect("there");
        assert_eq!(records.runs, [run("go", 0, 5), run("go", 1, 6)]);
    }

    #[test]
    fn an_error_names_the_line() {
        assert!(Records::parse("").is_err());
        assert!(Records::parse("{}\n").is_err());
        let header = serde_json::to_string(&Line::Header(Box::new(header()))).expect("JSON");
        let error = Records::parse(&format!("{header}\nnonsense\n")).expect_err("no JSON");
        assert!(format!("{error:#}").contains("line 2"), "{error:#}");
    }
}
