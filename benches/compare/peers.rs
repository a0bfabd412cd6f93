//! The programs that are compared: built by `scripts/peers.py`, or listed in a file. Knows no peer
//! by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use serde::Deserialize;

/// How a peer is started.
#[derive(Clone, Debug, Deserialize)]
pub struct Peer {
    pub server: Vec<String>,
    /// Absent where its server is only a variant of another one's.
    pub load: Option<Vec<String>>,
    #[serde(default)]
    pub version: String,
}

/// What there is to compare.
#[derive(Debug, Deserialize)]
pub struct Peers {
    pub peers: BTreeMap<String, Peer>,
    /// What could not be built, and why.
    #[serde(default)]
    pub missing: BTreeMap<String, String>,
}

impl Peers {
    /// Builds those that are named, or all.
    pub fn build(names: &[String]) -> Result<Peers> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/peers.py");
        let output = Command::new(&script)
            .args(names)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {}", script.display()))?;
        ensure!(
            output.status.success(),
            "scripts/peers.py ended with {}",
            output.status
        );
        Peers::parse(&output.stdout).context("scripts/peers.py")
    }

    /// Those of a file, of them those that are named, or all.
    pub fn read(path: &Path, names: &[String]) -> Result<Peers> {
        let read = || Peers::parse(&fs::read(path)?);
        let mut peers = read().with_context(|| format!("--peer-list {}", path.display()))?;
        for name in names {
            let known = peers.peers.contains_key(name) || peers.missing.contains_key(name);
            ensure!(known, "--peers: there is no `{name}` in {}", path.display());
        }
        if !names.is_empty() {
            peers.peers.retain(|name, _| names.contains(name));
            peers.missing.retain(|name, _| names.contains(name));
        }
        Ok(peers)
    }

    fn parse(json: &[u8]) -> Result<Peers> {
        let peers: Peers = serde_json::from_slice(json)?;
        for (name, peer) in &peers.peers {
            let commands = [Some(&peer.server), peer.load.as_ref()];
            let runnable = commands.iter().flatten().all(|command| !command.is_empty());
            ensure!(runnable, "`{name}` has an empty command");
        }
        ensure!(
            !peers.peers.is_empty(),
            "no peer could be built: {:?}",
            peers.missing
        );
        Ok(peers)
    }

    pub fn versions(&self) -> BTreeMap<String, String> {
        let versions = self.peers.iter();
        versions
            .map(|(name, peer)| (name.clone(), peer.version.clone()))
            .collect()
    }

    pub fn servers(&self) -> impl Iterator<Item = &String> {
        self.peers.keys()
    }

    pub fn loads(&self) -> impl Iterator<Item = &String> {
        let loads = self.peers.iter().filter(|(_, peer)| peer.load.is_some());
        loads.map(|(name, _)| name)
    }

    pub fn server(&self, name: &str) -> Result<&[String]> {
        let peer = self.peers.get(name);
        Ok(&peer
            .with_context(|| format!("there is no peer `{name}`"))?
            .server)
    }

    pub fn load(&self, name: &str) -> Result<&[String]> {
        let load = self.peers.get(name).and_then(|peer| peer.load.as_deref());
        load.with_context(|| format!("there is no load client `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints() {
        let json =
            br#"{"peers": {"go": {"server": ["go-server"], "load": ["go-load"], "version": "1"},
                        "ccore": {"server": ["ccore"]}}, "missing": {"node": "no node"}}"#;
        let peers = Peers::parse(json).expect("valid");
        assert_eq!(peers.loads().collect::<Vec<_>>(), ["go"]);
        assert_eq!(peers.servers().collect::<Vec<_>>(), ["ccore", "go"]);
        assert!(peers.load("ccore").is_err());
        assert_eq!(peers.missing["node"], "no node");
    }

    #[test]
    fn an_empty_command_is_refused() {
        let json = br#"{"peers": {"go": {"server": []}}}"#;
        let error = Peers::parse(json).expect_err("nothing to run").to_string();
        assert!(error.contains("`go`"), "{error}");
    }
}
