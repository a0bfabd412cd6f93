//! A fingerprint of the beginning of a file: the same for copies, another for other content. It must
//! not know what a file holds.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use openssl::sha::sha256;

/// The bytes that are hashed at each end.
const SAMPLE: usize = 4096;

/// Bytes of a hash. It finds accidents: whoever could forge it can write the file.
const HASH: usize = 8;

/// Hashes of the first 4 KiB and of the last 4 KiB: two reads, however long the file is. A change in
/// the middle that keeps the length is not noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    head: [u8; HASH],
    tail: [u8; HASH],
}

/// A file, beside the one that had a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The same, perhaps with more at its end.
    Same,
    /// Its beginning: a copy that is not complete yet, or a file that was cut.
    Shorter,
    /// Another one.
    Other,
}

impl Fingerprint {
    pub(super) const BYTES: usize = 2 * HASH;

    /// The fingerprint of the first `length` bytes of a file. `None` if it is shorter.
    pub(super) fn of(file: &File, length: u64) -> io::Result<Option<Fingerprint>> {
        let (head, tail) = (head(file, length)?, tail(file, length)?);
        Ok(head
            .zip(tail)
            .map(|(head, tail)| Fingerprint { head, tail }))
    }

    /// Compares the first `length` bytes of a file.
    pub(super) fn compare(self, file: &File, length: u64) -> io::Result<Match> {
        if head(file, length)? != Some(self.head) {
            return Ok(Match::Other);
        }
        Ok(match tail(file, length)? {
            None => Match::Shorter,
            Some(tail) if tail == self.tail => Match::Same,
            Some(_) => Match::Other,
        })
    }

    pub(super) fn from_bytes(bytes: [u8; Fingerprint::BYTES]) -> Fingerprint {
        let (head, tail) = bytes.split_at(HASH);
        Fingerprint {
            head: std::array::from_fn(|n| head[n]),
            tail: std::array::from_fn(|n| tail[n]),
        }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.head, self.tail].concat()
    }
}

fn sample(length: u64) -> usize {
    length.min(SAMPLE as u64) as usize
}

fn head(file: &File, length: u64) -> io::Result<Option<[u8; HASH]>> {
    hash(file, 0, sample(length))
}

fn tail(file: &File, length: u64) -> io::Result<Option<[u8; HASH]>> {
    let sample = sample(length);
    hash(file, length - sample as u64, sample)
}

/// `None` if the file ends before.
fn hash(file: &File, start: u64, length: usize) -> io::Result<Option<[u8; HASH]>> {
    let mut bytes = [0; SAMPLE];
    let bytes = &mut bytes[..length];
    match file.read_exact_at(bytes, start) {
        Ok(()) => {
            let hash = sha256(bytes);
            Ok(Some(std::array::from_fn(|n| hash[n])))
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn of(content: &[u8]) -> Fingerprint {
        let fingerprint = Fingerprint::of(&file(content), content.len() as u64);
        fingerprint.unwrap().unwrap()
    }

    /// What becomes of a stream of `first` when the file is `second`.
    fn compare(first: &[u8], second: &[u8]) -> Match {
        let fingerprint = Fingerprint::from_bytes(of(first).to_bytes().try_into().unwrap());
        fingerprint
            .compare(&file(second), first.len() as u64)
            .unwrap()
    }

    #[test]
    fn copies_and_grown_files_are_the_same() {
        let long = vec![b'x'; 3 * SAMPLE];
        for content in [&b""[..], b"a\n", &long] {
            assert_eq!(compare(content, content), Match::Same);
            let grown = [content, b"more"].concat();
            assert_eq!(compare(content, &grown), Match::Same);
            assert_eq!(compare(&grown, b"y"), Match::Other);
        }
        let too_long = Fingerprint::of(&file(b"a"), 2).unwrap();
        assert_eq!(too_long, None);
    }

    #[test]
    fn other_content_is_noticed() {
        let long = vec![b'x'; 3 * SAMPLE];
        for at in [0, SAMPLE - 1, 2 * SAMPLE, long.len() - 1] {
            let mut other = long.clone();
            other[at] = b'y';
            assert_eq!(compare(&long, &other), Match::Other, "{at}");
        }
    }

    #[test]
    fn a_beginning_is_told_from_other_content() {
        let long = vec![b'x'; 3 * SAMPLE];
        assert_eq!(compare(&long, &long[..SAMPLE]), Match::Shorter);
        assert_eq!(
            compare(&long, &long[..SAMPLE - 1]),
            Match::Other,
            "too little"
        );
        assert_eq!(compare(&long, &vec![b'y'; SAMPLE]), Match::Other);
    }
}
