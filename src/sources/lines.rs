//! The lines of files: a request's id is the name of a file in one directory.
//!
//! A stream gives the lines that the file had when its first call came. What is added later belongs
//! to later streams. So the end is part of a place, and a resumed stream ends where the first would
//! have ended.
//!
//! | bytes of a place | |
//! | --- | --- |
//! | 8 | offset of the next line, decompressed |
//! | 8 | lines before it |
//! | 8 | end: the length of the file, as stored |
//! | 16 | fingerprint of the file up to the end, as stored |

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::path::Path;

use super::decompress::Compression;
use super::directory::Directory;
use super::fingerprint::{Fingerprint, Match};
use super::{Records, Source, SOURCES};
use crate::engine::codec::Encoded;
use crate::engine::{CallContext, Produced};
use crate::proto::stream::{Request, Response};
use crate::Status;

/// The bytes that are skipped between two looks at the end of the call.
const SKIPPED_AT_ONCE: u64 = 1 << 20;

/// What becomes of a line that is too long, or not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadLines {
    /// The call ends with DATA_LOSS.
    #[default]
    Fail,
    /// A long line is cut, and ends with `…`; other bytes become U+FFFD.
    Replace,
}

/// The lines of the file whose name is the request's id, or else of one with `.gz` or `.zst`
/// after it. Each line is a response without its newline.
///
/// A symbolic link that leads out of the directory is not followed. The memory of a stream is some 32
/// KiB, and the longest line; for zstd also the window of the file.
#[derive(Clone, Debug)]
pub struct Lines {
    directory: Directory,
    max_line_bytes: usize,
    bad_lines: BadLines,
}

impl Lines {
    /// The longest line by default.
    pub const MAX_LINE_BYTES: usize = 1 << 20;

    /// The lines of the files in this directory.
    ///
    /// # Errors
    /// It cannot be opened, or is not a directory.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Lines> {
        Ok(Lines {
            directory: Directory::new(directory.as_ref())?,
            max_line_bytes: Lines::MAX_LINE_BYTES,
            bad_lines: BadLines::default(),
        })
    }

    /// Sets the longest line in bytes. The default is 1 MiB; a client takes 4 MiB by default.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Lines {
        self.max_line_bytes = bytes;
        self
    }

    /// Sets what becomes of lines that are too long or not UTF-8. The default is to fail.
    #[must_use]
    pub fn bad_lines(mut self, bad_lines: BadLines) -> Lines {
        self.bad_lines = bad_lines;
        self
    }

    fn find(&self, id: i32) -> Result<(File, Compression), Status> {
        for compression in Compression::ALL {
            let name = format!("{id}{}", compression.suffix());
            if let Some(file) = self.directory.open(&name)? {
                return Ok((file, compression));
            }
        }
        Err(Status::not_found(format!("no file for id {id}")))
    }
}

impl Source for Lines {
    type Request = Request;
    type Response = Response;
    type Records = LineRecords;

    fn settings(&self) -> String {
        let Lines {
            max_line_bytes,
            bad_lines,
            ..
        } = self;
        format!("lines {max_line_bytes} {bad_lines:?}")
    }

    fn open(
        &self,
        call: &CallContext,
        request: &Request,
        place: Option<&[u8]>,
    ) -> Result<LineRecords, Status> {
        let id = request.id;
        call.set_subject(id.to_string());
        tracing::info!(target: SOURCES, id, "lines of id : {id}");
        let (mut file, compression) = self.find(id)?;
        let replaced = || {
            Status::failed_precondition(format!(
                "the file for id {id} was replaced or cut since this stream began"
            ))
        };
        let place = match place {
            Some(place) => {
                let place = Place::from_bytes(place)?;
                match place.fingerprint.compare(&file, place.end)? {
                    Match::Same => place,
                    Match::Shorter => return Err(behind(id)),
                    Match::Other => return Err(replaced()),
                }
            }
            None => {
                let end = file.metadata()?.len();
                let fingerprint = Fingerprint::of(&file, end)?.ok_or_else(replaced)?;
                Place {
                    offset: 0,
                    line: 0,
                    end,
                    fingerprint,
                }
            }
        };
        let seeks = compression == Compression::None;
        let start = match seeks {
            true => file.seek(SeekFrom::Start(place.offset))?,
            false => 0,
        };
        let left = place.end.saturating_sub(start);
        let mut records = LineRecords {
            reader: compression.reader(Whole { file, left }),
            place,
            call: call.clone(),
            max_line_bytes: self.max_line_bytes,
            bad_lines: self.bad_lines,
            response: Response::default(),
        };
        if !seeks {
            records.skip_bytes(place.offset)?;
        }
        Ok(records)
    }
}

fn behind(id: i32) -> Status {
    Status::unavailable(format!(
        "the file for id {id} is shorter than when this stream began: this server may be behind"
    ))
}

/// The place before a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    offset: u64,
    line: u64,
    end: u64,
    fingerprint: Fingerprint,
}

impl Place {
    fn to_bytes(self) -> Vec<u8> {
        let numbers = [self.offset, self.line, self.end].map(u64::to_be_bytes);
        [numbers.concat(), self.fingerprint.to_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Place, Status> {
        let (numbers, fingerprint) = bytes.split_at_checked(24).unwrap_or_default();
        let mut numbers = numbers
            .as_chunks::<8>()
            .0
            .iter()
            .copied()
            .map(u64::from_be_bytes);
        match (
            numbers.next(),
            numbers.next(),
            numbers.next(),
            fingerprint.try_into(),
        ) {
            (Some(offset), Some(line), Some(end), Ok(fingerprint)) => Ok(Place {
                offset,
                line,
                end,
                fingerprint: Fingerprint::from_bytes(fingerprint),
            }),
            _ => Err(Status::internal("the token has not the place of a line")),
        }
    }
}

/// The first `left` bytes of a file, all of them: a file that has become shorter is an error.
struct Whole {
    file: File,
    left: u64,
}

impl Read for Whole {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let most = self.left.min(bytes.len() as u64) as usize;
        let read = self.file.read(&mut bytes[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::other("the file has become shorter"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// The lines of one call.
pub struct LineRecords {
    reader: Box<dyn BufRead + Send>,
    /// Before the next line.
    place: Place,
    call: CallContext,
    max_line_bytes: usize,
    bad_lines: BadLines,
    /// Reused for all lines, which saves an allocation for each.
    response: Response,
}

impl LineRecords {
    /// The next line as a response; `None` at the end.
    fn next_line(&mut self) -> Result<Option<Encoded<Response>>, Status> {
        let mut line = std::mem::take(&mut self.response.result).into_bytes();
        line.clear();
        let most = self.max_line_bytes as u64 + 1;
        let read = (&mut self.reader).take(most).read_until(b'\n', &mut line);
        let read = read.map_err(broken)? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.place.offset += read;
        self.place.line += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read == most {
            self.too_long(&mut line)?;
        }
        self.response.result = self.text(line)?;
        Encoded::new(&self.response).map(Some)
    }

    /// Cuts a line that is longer than it may be, or fails.
    fn too_long(&mut self, line: &mut Vec<u8>) -> Result<(), Status> {
        let most = self.max_line_bytes;
        if self.bad_lines == BadLines::Fail {
            let number = self.place.line;
            let text = format!("line {number} is longer than {most} bytes");
            return Err(Status::data_loss(text));
        }
        line.truncate(most);
        // Not within a character.
        if let Err(error) = std::str::from_utf8(line) {
            if error.error_len().is_none() {
                line.truncate(error.valid_up_to());
            }
        }
        line.extend_from_slice("…".as_bytes());
        self.skip_line().map(drop)
    }

    fn text(&self, line: Vec<u8>) -> Result<String, Status> {
        match (String::from_utf8(line), self.bad_lines) {
            (Ok(text), _) => Ok(text),
            (Err(error), BadLines::Replace) => {
                Ok(String::from_utf8_lossy(error.as_bytes()).into_owned())
            }
            (Err(error), BadLines::Fail) => {
                let (line, at) = (self.place.line, error.utf8_error().valid_up_to());
                let text = format!("line {line} is not UTF-8 after its first {at} bytes");
                Err(Status::data_loss(text))
            }
        }
    }

    /// Skips to the end of a line. False if there is nothing to skip.
    fn skip_line(&mut self) -> Result<bool, Status> {
        let mut has_skipped = false;
        loop {
            // A buffer at a time: a line may be endless, and the call over.
            let buffered = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffered => buffered.map_err(broken)?,
            };
            let (most, ends) = (buffered.len() as u64, buffered.last() == Some(&b'\n'));
            let mut some = (&mut self.reader).take(most);
            let skipped = some.skip_until(b'\n').map_err(broken)? as u64;
            self.place.offset += skipped;
            has_skipped |= skipped > 0;
            if most == 0 || ends || skipped < most {
                return Ok(has_skipped);
            }
            self.stop_if_over()?;
        }
    }

    /// Skips `count` bytes, of which the place knows.
    fn skip_bytes(&mut self, mut count: u64) -> Result<(), Status> {
        while count > 0 {
            let mut some = (&mut self.reader).take(count.min(SKIPPED_AT_ONCE));
            match io::copy(&mut some, &mut io::sink()).map_err(broken)? {
                0 => {
                    return Err(Status::data_loss(
                        "the content of the file is shorter than it was",
                    ))
                }
                skipped => count -= skipped,
            }
            self.stop_if_over()?;
        }
        Ok(())
    }

    fn stop_if_over(&self) -> Result<(), Status> {
        match self.call.is_over() {
            true => Err(Status::cancelled("the call is over")),
            false => Ok(()),
        }
    }
}

/// A file that cannot be read further, or not be decompressed.
fn broken(error: io::Error) -> Status {
    let text = format!("the file cannot be read: {error}");
    Status::data_loss(text).with_source(error)
}

impl Iterator for LineRecords {
    type Item = Produced<Encoded<Response>>;

    fn next(&mut self) -> Option<Produced<Encoded<Response>>> {
        self.next_line().transpose()
    }
}

impl Records for LineRecords {
    fn place(&self) -> Option<Vec<u8>> {
        Some(self.place.to_bytes())
    }

    fn skip_records(&mut self, count: u64) -> Result<u64, Status> {
        for skipped in 0..count {
            if !self.skip_line()? {
                return Ok(skipped);
            }
            self.place.line += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
