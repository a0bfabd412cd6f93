//! `client --reconnect`: files arrive byte for byte, whatever happens to the server.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use crossbeam_channel::{bounded, Receiver};
use rstest::rstest;
use tempfile::TempDir;

use super::lines::{self, directory, gzip, source};
use crate::common::process::{eventually, TEST_TIMEOUT};
use crate::common::server::{server, TestServer};
use crate::common::transport::Transport::{self, Clear, Tls};

/// Servers at one address, one after the other.
struct Servers {
    current: TestServer,
    key: String,
    _directory: TempDir,
}

impl Servers {
    fn start(transport: Transport, directory: &Path) -> Servers {
        let secret = self::directory(&[("key", b"0123456789abcdef0123456789abcdef")]);
        let key = secret.path().join("key").display().to_string();
        Servers {
            current: TestServer::start(
                transport,
                &flags(directory, &key).each_ref().map(String::as_str),
            ),
            key,
            _directory: secret,
        }
    }

    /// Ends the server by a signal while the client reads, and starts one for another directory.
    fn replace(&mut self, signal: &str, directory: &Path, client: &mut SlowClient) -> Vec<u8> {
        let key = self.key.clone();
        self.replace_with(signal, &flags(directory, &key), client)
    }

    fn replace_with(
        &mut self,
        signal: &str,
        flags: &[impl AsRef<str>],
        client: &mut SlowClient,
    ) -> Vec<u8> {
        self.current.process.signal(signal);
        let read = client.read_until(|| self.current.process.has_ended());
        let of_setup = self.current.setup.server_flags();
        let of_setup = of_setup.iter().map(String::as_str);
        let listen = ["--listen", &self.current.address].into_iter();
        let flags = flags.iter().map(AsRef::as_ref);
        self.current.process = server(listen.chain(of_setup).chain(flags));
        read
    }
}

/// The flags of a server.
fn flags(directory: &Path, key: &str) -> [String; 6] {
    let source = source(directory);
    ["--source", &source, "--resume-key", key, "--grace", "0s"].map(String::from)
}

/// A client whose output is read at the test's pace.
pub struct SlowClient {
    child: Child,
    /// Pieces of the output, one ahead.
    output: Receiver<Vec<u8>>,
}

impl SlowClient {
    pub fn start(server: &TestServer, flags: &[&str]) -> SlowClient {
        let fixed = ["--format", "text", "--timeout", "60s"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_client"))
            .args(["--addr", &server.address])
            .args(fixed)
            .args(server.setup.client_flags())
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdout.take().unwrap();
        let (sender, output) = bounded(1);
        thread::spawn(move || {
            let mut piece = vec![0; 64 << 10];
            while let Ok(read @ 1..) = pipe.read(&mut piece) {
                if sender.send(piece[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        SlowClient { child, output }
    }

    /// Its next output, so many bytes at least.
    pub fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while read.len() < bytes {
            read.append(&mut self.output.recv_timeout(TEST_TIMEOUT).unwrap());
        }
        read
    }

    /// Reads on until `is_done`.
    fn read_until(&mut self, mut is_done: impl FnMut() -> bool) -> Vec<u8> {
        let mut read = Vec::new();
        eventually(|| {
            read.extend(self.output.try_recv().unwrap_or_default());
            is_done().then_some(())
        });
        read
    }

    /// The rest of its output, its exit code and its messages.
    pub fn end(mut self) -> (Vec<u8>, Option<i32>, String) {
        let rest: Vec<u8> = self.output.iter().flatten().collect();
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        let code = self.child.wait().unwrap().code();
        (rest, code, errors)
    }
}

impl Drop for SlowClient {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// Not `assert_eq!`, which would print megabytes.
#[track_caller]
pub fn assert_same(found: &[u8], expected: &[u8]) {
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "the first byte that differs");
    assert_eq!(found.len(), expected.len());
}

/// With each signal: killed, and drained without a grace period. Two servers have copies.
#[rstest]
fn a_file_arrives_byte_for_byte_from_servers_that_are_ended(
    #[values(Clear, Tls)] transport: Transport,
    #[values("-KILL", "-TERM")] signal: &str,
    #[values("", ".gz")] suffix: &str,
) {
    let content = lines::lines(100_000);
    let stored = match suffix {
        "" => content.clone(),
        _ => gzip(&content),
    };
    let name = format!("7{suffix}");
    let copies = [
        directory(&[(&name, &stored)]),
        directory(&[(&name, &stored)]),
    ];
    let mut servers = Servers::start(transport, copies[0].path());
    let mut client = SlowClient::start(&servers.current, &["--id", "7", "--reconnect"]);
    let mut received = Vec::new();
    let mut ended = 0;
    // The pipes and channels between them hold some MiB.
    while received.len() < content.len() * 3 / 5 {
        received.append(&mut client.read(500_000));
        ended += 1;
        received.append(&mut servers.replace(signal, copies[ended % 2].path(), &mut client));
    }
    assert!(ended > 3, "{ended}");
    let (mut rest, code, errors) = client.end();
    received.append(&mut rest);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_same(&received, &content);
}

#[rstest]
#[case(&["--reconnect"])]
#[case(&["--reconnect", "--on-gap", "restart"])]
fn a_replaced_file_is_noticed(#[case] flags: &[&str]) {
    let (old, new) = (lines::lines(100_000), b"other\nlines\n");
    let (before, after) = (directory(&[("1", &old)]), directory(&[("1", new)]));
    let mut servers = Servers::start(Clear, before.path());
    let mut client = SlowClient::start(&servers.current, flags);
    let mut first = client.read(1000);
    assert_same(&first, &old[..first.len()]);
    first.append(&mut servers.replace("-KILL", after.path(), &mut client));
    let (rest, code, errors) = client.end();
    let received = [first, rest].concat();
    match flags.len() {
        1 => {
            assert_eq!(code, Some(5));
            let said = "id 1: FAILED_PRECONDITION: cannot resume: the file for id 1 was replaced";
            assert!(errors.contains(said), "{errors}");
            assert_same(&received, &old[..received.len()]);
        }
        _ => {
            assert_eq!((code, errors.as_str()), (Some(0), ""));
            let (of_old, of_new) = received.split_at(received.len() - new.len());
            assert_same(of_new, new);
            assert_same(of_old, &old[..of_old.len()]);
        }
    }
}

#[test]
fn a_position_of_another_key_is_refused() {
    let directory = directory(&[("1", &lines::lines(100_000))]);
    let mut servers = Servers::start(Clear, directory.path());
    let mut client = SlowClient::start(&servers.current, &["--reconnect", "--on-gap", "restart"]);
    client.read(1000);
    let flags = ["--source", &source(directory.path())];
    servers.replace_with("-KILL", &flags, &mut client);
    let (_, code, errors) = client.end();
    assert_eq!(code, Some(5));
    assert!(
        errors.contains("id 1: INVALID_ARGUMENT: cannot resume"),
        "{errors}"
    );
}

#[test]
fn without_reconnect_a_loss_is_a_failure() {
    let directory = directory(&[("1", &lines::lines(100_000))]);
    let servers = Servers::start(Clear, directory.path());
    let mut client = SlowClient::start(&servers.current, &["--retries", "9"]);
    client.read(1000);
    servers.current.process.signal("-KILL");
    let (_, code, errors) = client.end();
    assert_eq!(code, Some(5));
    assert!(errors.contains("id 1: UNAVAILABLE"), "{errors}");
}
