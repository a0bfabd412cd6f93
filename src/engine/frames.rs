//! Several messages as one "message" of the C-core: a sequence of gRPC frames, each with its header
//! of five bytes. It knows no calls and no channels.
//!
//! Each message of the C-core passes its filters, a batch and a completion queue: some 1.5 µs,
//! however small it is. The patch `0010-framed-messages` in `scripts/ccore` lets frames pass
//! together. They are the same bytes on the wire.

use std::ffi::CStr;
use std::io::{BufRead, Read};

use grpcio::{GrpcSlice, MessageReader};

use super::payload::Payload;
use crate::c_core;

/// The channel argument of server and client.
pub(crate) const FRAMED_MESSAGES: &CStr = c"fanstream.framed_messages";

/// The most bytes of frames in one "message" of a server: the content of a DATA frame.
const MAX_FRAMES_BYTES: usize = 16 * 1024;

/// The largest message that shares a "message": a copy of it costs less than its path through the
/// C-core.
const MAX_FRAMED_BYTES: u32 = 4 * 1024;

/// The header of a frame: one byte for compression, four for the size of the message.
const HEADER_BYTES: usize = 5;

/// Whether this C-core has the patch.
pub(crate) fn are_supported() -> bool {
    c_core::knows("framed_messages")
}

/// Whether a message of `size` bytes may follow `frames` bytes of others.
pub(super) fn fits(frames: usize, size: u32) -> bool {
    size <= MAX_FRAMED_BYTES && frames + HEADER_BYTES + size as usize <= MAX_FRAMES_BYTES
}

/// Adds the frame of a message that fits.
pub(super) fn append(message: &[u8], frames: &mut Vec<u8>) {
    let size = u32::try_from(message.len()).unwrap_or(u32::MAX);
    frames.push(0); // not compressed
    frames.extend_from_slice(&size.to_be_bytes());
    frames.extend_from_slice(message);
}

/// The only message of `frames`.
pub(super) fn only(frames: &[u8]) -> &[u8] {
    &frames[HEADER_BYTES.min(frames.len())..]
}

/// The frames that a client receives at once: at least one, all complete.
pub(crate) struct Frames(Option<MessageReader>);

impl Frames {
    /// No frames.
    pub(super) fn none() -> Frames {
        Frames(None)
    }

    /// As the marshaller of a method's responses.
    pub(crate) fn receive(reader: MessageReader) -> grpcio::Result<Frames> {
        Ok(Frames(Some(reader)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(MessageReader::is_empty)
    }

    /// Takes and decodes the next message; `None` at the end.
    pub(super) fn next<T>(
        &mut self,
        decode: fn(MessageReader) -> grpcio::Result<T>,
    ) -> Option<grpcio::Result<T>> {
        let mut frames = self.0.take_if(|frames| !frames.is_empty())?;
        let message = match take_message(&mut frames) {
            Ok(Some(message)) => message,
            Ok(None) => return Some(decode(frames)),
            Err(error) => return Some(Err(grpcio::Error::Codec(error.into()))),
        };
        self.0 = Some(frames);
        Some(decode(MessageReader::new((&message).into())))
    }
}

/// Takes the next message; `None` if it is all that is left.
fn take_message(frames: &mut MessageReader) -> std::io::Result<Option<GrpcSlice>> {
    let mut header = [0; HEADER_BYTES];
    frames.read_exact(&mut header)?;
    let [compression, size @ ..] = header;
    let size = u32::from_be_bytes(size) as usize;
    if compression != 0 || size > frames.len() {
        let why = "no frames: the channel was not asked for them";
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
    }
    if frames.len() == size {
        return Ok(None);
    }
    let bytes = frames.fill_buf()?;
    if let Some(message) = bytes.get(..size) {
        let message = GrpcSlice::from(message);
        frames.consume(size);
        return Ok(Some(message));
    }
    let mut message = vec![0; size];
    frames.read_exact(&mut message)?;
    Ok(Some(GrpcSlice::from(&message[..])))
}

impl Payload for Frames {
    fn encoded_len(&self) -> usize {
        self.0.as_ref().map_or(0, MessageReader::len)
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
