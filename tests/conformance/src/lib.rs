//! Common parts of the conformance server and client: the suite's messages, how they are framed on
//! standard input and output, and their form of headers and errors. Nothing here calls or serves.

use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use fanstream::grpcio::{self, Metadata, MetadataBuilder, RpcStatus};
use fanstream::protobuf::{self, Message, RepeatedField};

fanstream::include_protos!();

use service::{Error, Header};

/// Reads a message after its length, four bytes in network order; `None` at the end of the input.
///
/// # Errors
/// If reading fails, or the message is truncated or not an `M`.
pub fn read_message<M: Message>(input: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    input.read_exact(&mut bytes)?;
    Ok(Some(M::parse_from_bytes(&bytes)?))
}

/// Writes a message after its length.
///
/// # Errors
/// If writing fails.
pub fn write_message(output: &mut impl Write, message: &impl Message) -> io::Result<()> {
    let bytes = message.write_to_bytes()?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    output.write_all(&length.to_be_bytes())?;
    output.write_all(&bytes)?;
    output.flush()
}

/// The suite's form of metadata: each name once, with its values in order. No case sends binary
/// values.
pub fn headers_from(metadata: &Metadata) -> RepeatedField<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for (name, value) in metadata {
        let value = String::from_utf8_lossy(value).into_owned();
        match headers.iter_mut().find(|header| header.name == name) {
            Some(header) => header.value.push(value),
            None => {
                let mut header = Header::new();
                header.name = name.into();
                header.value.push(value);
                headers.push(header);
            }
        }
    }
    headers.into()
}

/// grpcio's form of the suite's headers.
///
/// # Errors
/// If gRPC cannot send a name or a value.
pub fn metadata_from<'a>(
    headers: impl IntoIterator<Item = &'a Header>,
) -> grpcio::Result<Metadata> {
    let mut builder = MetadataBuilder::new();
    for header in headers {
        for value in &*header.value {
            builder.add_str(&header.name, value)?;
        }
    }
    Ok(builder.build())
}

/// The status that the suite's error asks for. Its details travel as a `google.rpc.Status`.
pub fn status_from(error: &Error) -> RpcStatus {
    let code = error.code as i32;
    if error.details.is_empty() {
        return RpcStatus::with_message(code, error.get_message().into());
    }
    let mut details = status::Status::new();
    details.code = code;
    details.message = error.get_message().into();
    details.details = error.details.clone();
    let bytes = details.write_to_bytes().unwrap_or_default();
    RpcStatus::with_details(code, error.get_message().into(), bytes)
}

/// The suite's form of a status, without details that are not a `google.rpc.Status`.
pub fn error_from(status: &RpcStatus) -> Error {
    let mut error = Error::new();
    error.code = protobuf::ProtobufEnum::from_i32(status.code().into()).unwrap_or_default();
    error.set_message(status.message().into());
    if let Ok(details) = status::Status::parse_from_bytes(status.details()) {
        error.details = details.details;
    }
    error
}

/// Writes a file into `directory`: fanstream reads certificates from files.
///
/// # Errors
/// If the file cannot be written.
pub fn write_file(directory: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    let path = directory.join(name);
    std::fs::write(&path, content)?;
    Ok(path)
}
