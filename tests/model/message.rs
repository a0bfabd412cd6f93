//! A message that carries its origin, is counted while it lives, and may be poisoned, with its
//! marshallers. On the wire: the call's id, the job, the number in the job, the size of the
//! padding, the padding.

use std::io::Read;
use std::sync::Arc;

use grpcio::{Error, GrpcSlice, Marshaller, MessageReader, Method, MethodType};

use super::adapter::Payload;
use super::probe::Probe;
use super::scenario::Poison;

const HEADER: usize = 20;

/// The padding byte.
const PADDING: u8 = b'.';

/// The message on the server.
#[derive(Debug)]
pub struct Message {
    probe: Arc<Probe>,
    job: usize,
    sequence: u32,
    padding: usize,
    poison: Option<Poison>,
}

impl Message {
    pub fn new(probe: &Arc<Probe>, job: usize, sequence: u32) -> Message {
        let plan = &probe.plan.jobs[job];
        let message = Message {
            probe: probe.clone(),
            job,
            sequence,
            padding: plan.size_of(sequence),
            poison: plan.poison_of(sequence),
        };
        probe.messages.add(1);
        probe.bytes.add(HEADER + message.padding);
        message
    }
}

impl Payload for Message {
    fn encoded_len(&self) -> usize {
        match self.poison {
            Some(Poison::SizePanics) => {
                self.probe.fail(Some(self.job), None);
                panic!("planned: a size");
            }
            Some(Poison::SizeVaries) => fastrand::usize(0..1 << 20),
            _ => HEADER + self.padding,
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.probe.messages.sub(1);
        self.probe.bytes.sub(HEADER + self.padding);
        if self.poison == Some(Poison::DropPanics) {
            self.probe
                .drop_panicked
                .store(true, std::sync::atomic::Ordering::SeqCst);
            panic!("planned: the drop of a message");
        }
    }
}

/// The message on the client.
#[derive(Debug)]
pub struct Received {
    probe: Option<Arc<Probe>>,
    pub call: u64,
    pub job: usize,
    pub sequence: u32,
    /// The size of the padding; `None` if it was altered.
    pub padding: Option<usize>,
}

impl Payload for Received {
    fn encoded_len(&self) -> usize {
        self.padding.unwrap_or(0)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(probe) = &self.probe {
            probe.received.sub(1);
        }
    }
}

/// The method that streams messages; its request is the id of the call.
pub const STREAM: Method<u64, Message> = Method {
    ty: MethodType::ServerStreaming,
    name: "/model.Model/Stream",
    req_mar: NUMBER,
    resp_mar: Marshaller {
        ser: encode,
        de: |_| Err(Error::Codec("a server decodes no responses".into())),
    },
};

/// The same for the client.
pub const RECEIVE: Method<u64, Received> = Method {
    ty: MethodType::ServerStreaming,
    name: "/model.Model/Stream",
    req_mar: NUMBER,
    resp_mar: Marshaller {
        ser: |_, _| Err(Error::Codec("a client encodes no responses".into())),
        de: decode,
    },
};

/// A unary method that the poll thread answers.
pub const PING: Method<u64, u64> = Method {
    ty: MethodType::Unary,
    name: "/model.Model/Ping",
    req_mar: NUMBER,
    resp_mar: NUMBER,
};

const NUMBER: Marshaller<u64> = Marshaller {
    ser: |number, slice| {
        *slice = GrpcSlice::from(&number.to_le_bytes()[..]);
        Ok(())
    },
    de: |mut reader| {
        let mut number = [0; 8];
        reader.read_exact(&mut number).map_err(broken)?;
        Ok(u64::from_le_bytes(number))
    },
};

fn encode(message: &Message, slice: &mut GrpcSlice) -> grpcio::Result<()> {
    match message.poison {
        Some(Poison::EncodingFails) => {
            message.probe.fail(Some(message.job), None);
            return Err(Error::Codec("planned: an encoding".into()));
        }
        Some(Poison::EncodingPanics) => {
            message.probe.fail(Some(message.job), None);
            panic!("planned: an encoding");
        }
        _ => {}
    }
    let mut bytes = Vec::with_capacity(HEADER + message.padding);
    bytes.extend_from_slice(&message.probe.id.to_le_bytes());
    bytes.extend_from_slice(&(message.job as u32).to_le_bytes());
    bytes.extend_from_slice(&message.sequence.to_le_bytes());
    bytes.extend_from_slice(&(message.padding as u32).to_le_bytes());
    bytes.resize(HEADER + message.padding, PADDING);
    *slice = GrpcSlice::from(bytes);
    Ok(())
}

fn decode(mut reader: MessageReader) -> grpcio::Result<Received> {
    let mut call = [0; 8];
    reader.read_exact(&mut call).map_err(broken)?;
    let call = u64::from_le_bytes(call);
    let mut number = || {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(broken)?;
        Ok::<_, Error>(u32::from_le_bytes(bytes))
    };
    let (job, sequence, padding) = (number()? as usize, number()?, number()? as usize);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).map_err(broken)?;
    let whole = rest.len() == padding && rest.iter().all(|byte| *byte == PADDING);
    let probe = Probe::find(call);
    if let Some(probe) = &probe {
        probe.received.add(1);
    }
    Ok(Received {
        probe,
        call,
        job,
        sequence,
        padding: whole.then_some(padding),
    })
}

fn broken(error: std::io::Error) -> Error {
    Error::Codec(error.to_string().into())
}
