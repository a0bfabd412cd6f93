//! The compared programs, built by `scripts/implementations.py` or listed in a file. It must not
//! know any implementation by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use serde::Deserialize;

/// The commands of an implementation.
#[derive(Clone, Debug, Deserialize)]
pub struct Implementation {
    pub server: Vec<String>,
    /// Absent if the server is only a variant of another one.
    pub load: Option<Vec<String>>,
    /// The server's code that makes responses, without sending them; absent in old lists.
    pub produce: Option<Vec<String>>,
    #[serde(default)]
    pub version: String,
    /// The seconds under load until its JIT compiler, if it has one, has optimised the hot code.
    #[serde(default)]
    pub warm_up_seconds: f64,
}

/// All implementations of a run.
#[derive(Debug, Deserialize)]
pub struct Implementations {
    pub implementations: BTreeMap<String, Implementation>,
    /// Implementations that could not be built, with the reason.
    #[serde(default)]
    pub missing: BTreeMap<String, String>,
}

impl Implementations {
    /// Builds the named implementations, or all if `names` is empty.
    pub fn build(names: &[String]) -> Result<Implementations> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/implementations.py");
        let output = Command::new(&script)
            .args(names)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {}", script.display()))?;
        ensure!(
            output.status.success(),
            "scripts/implementations.py ended with {}",
            output.status
        );
        Implementations::parse(&output.stdout).context("scripts/implementations.py")
    }

    /// Reads the named implementations from a file, or all if `names` is empty.
    pub fn read(path: &Path, names: &[String]) -> Result<Implementations> {
        let read = || Implementations::parse(&fs::read(path)?);
        let mut implementations =
            read().with_context(|| format!("--implementation-list {}", path.display()))?;
        for name in names {
            let known = implementations.implementations.contains_key(name)
                || implementations.missing.contains_key(name);
            ensure!(
                known,
                "--implementations: there is no `{name}` in {}",
                path.display()
            );
        }
        if !names.is_empty() {
            implementations
                .implementations
                .retain(|name, _| names.contains(name));
            implementations
                .missing
                .retain(|name, _| names.contains(name));
        }
        Ok(implementations)
    }

    fn parse(json: &[u8]) -> Result<Implementations> {
        let implementations: Implementations = serde_json::from_slice(json)?;
        for (name, implementation) in &implementations.implementations {
            let commands = [
                Some(&implementation.server),
                implementation.load.as_ref(),
                implementation.produce.as_ref(),
            ];
            let runnable = commands.iter().flatten().all(|command| !command.is_empty());
            ensure!(runnable, "`{name}` has an empty command");
        }
        ensure!(
            !implementations.implementations.is_empty(),
            "no implementation could be built: {:?}",
            implementations.missing
        );
        Ok(implementations)
    }

    pub fn versions(&self) -> BTreeMap<String, String> {
        let versions = self.implementations.iter();
        versions
            .map(|(name, implementation)| (name.clone(), implementation.version.clone()))
            .collect()
    }

    pub fn servers(&self) -> impl Iterator<Item = &String> {
        self.implementations.keys()
    }

    pub fn loads(&self) -> impl Iterator<Item = &String> {
        let loads = self
            .implementations
            .iter()
            .filter(|(_, implementation)| implementation.load.is_some());
        loads.map(|(name, _)| name)
    }

    pub fn server(&self, name: &str) -> Result<&[String]> {
        let implementation = self.implementations.get(name);
        Ok(&implementation
            .with_context(|| format!("there is no implementation `{name}`"))?
            .server)
    }

    /// The command of the program that makes responses without sending them.
    pub fn produce(&self, name: &str) -> Option<&[String]> {
        self.implementations.get(name)?.produce.as_deref()
    }

    /// The seconds until both programs of a pair are warm.
    pub fn warm_up_seconds(&self, server: &str, client: &str) -> f64 {
        let seconds = [server, client].map(|name| {
            let implementation = self.implementations.get(name);
            implementation.map_or(0.0, |implementation| implementation.warm_up_seconds)
        });
        seconds[0].max(seconds[1])
    }

    pub fn load(&self, name: &str) -> Result<&[String]> {
        let load = self
            .implementations
            .get(name)
            .and_then(|implementation| implementation.load.as_deref());
        load.with_context(|| format!("there is no load client `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_the_script_is_parsed() {
        let json =
            br#"{"implementations": {"go": {"server": ["go-server"], "load": ["go-load"], "version": "1"},
                        "ccore": {"server": ["ccore"], "warm_up_seconds": 2.5}}, "missing": {"node": "no node"}}"#;
        let implementations = Implementations::parse(json).expect("valid");
        assert_eq!(implementations.loads().collect::<Vec<_>>(), ["go"]);
        assert_eq!(
            implementations.servers().collect::<Vec<_>>(),
            ["ccore", "go"]
        );
        assert!(implementations.load("ccore").is_err());
        assert_eq!(implementations.missing["node"], "no node");
        assert_eq!(implementations.warm_up_seconds("ccore", "go"), 2.5);
        assert_eq!(implementations.warm_up_seconds("go", "go"), 0.0);
    }

    #[test]
    fn an_empty_command_is_refused() {
        let json = br#"{"implementations": {"go": {"server": []}}}"#;
        let error = Implementations::parse(json)
            .expect_err("nothing to run")
            .to_string();
        assert!(error.contains("`go`"), "{error}");
    }
}
