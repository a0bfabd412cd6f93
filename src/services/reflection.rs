//! Implements `grpc.reflection`, v1 and v1alpha: a server's descriptors, for tools such as grpcurl.
//! It must not know servers.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use futures::{FutureExt, SinkExt, StreamExt};
use grpcio::{
    DuplexSink, Method, MethodType, RequestStream, RpcContext, RpcStatusCode, Service,
    ServiceBuilder, WriteFlags,
};
use prost_reflect::{DescriptorPool, FileDescriptor};
use protobuf::descriptor::{FileDescriptorProto, FileDescriptorSet};
use protobuf::Message;

use super::slots::{Slot, Slots};
use super::{PeerLimits, MAX_REQUEST_BYTES};
use crate::engine::codec::{raw_requests, Raw};
use crate::engine::{PeerPermit, Streams};
use crate::proto::reflection::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionRequest_oneof_message_request as Asked,
    ServerReflectionResponse, ServerReflectionResponse_oneof_message_response as Answer,
    ServiceResponse,
};

/// Maximum concurrent calls, of both versions together. A tool needs one for a short time.
const MAX_CALLS: usize = 1000;

type Info = Method<Raw<ServerReflectionRequest>, ServerReflectionResponse>;

const V1: Info = raw_requests(
    MethodType::Duplex,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
);

/// On the wire, the messages are the same as in v1.
const V1ALPHA: Info = raw_requests(
    MethodType::Duplex,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
);

/// Descriptors cannot be decoded, or an import is missing.
#[derive(Debug, thiserror::Error)]
#[error("the descriptors are unusable: {0}")]
pub struct DescriptorError(String);

/// The reflection service and the descriptors that it exposes.
#[derive(Clone)]
pub struct Reflection {
    pool: DescriptorPool,
    /// Names of the listed services, sorted.
    listed: Vec<String>,
    /// Names of the exposed files.
    visible: BTreeSet<String>,
    limits: PeerLimits,
}

impl Reflection {
    /// Exposes all services and files of an encoded `FileDescriptorSet`, as written by `protoc
    /// --include_imports --descriptor_set_out=FILE`. Add `--include_source_info` for comments.
    ///
    /// # Errors
    /// [`DescriptorError`] if the set cannot be decoded, or an import is missing.
    pub fn of_set(set: &[u8]) -> Result<Reflection, DescriptorError> {
        Reflection::of_sets([set])
    }

    /// Like [`Reflection::of_set`], for several sets. A file may be in several of them.
    ///
    /// # Errors
    /// [`DescriptorError`], also if two sets have different files of the same name.
    pub fn of_sets<'a>(
        sets: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Reflection, DescriptorError> {
        let mut pool = DescriptorPool::new();
        for set in sets {
            let added = pool.decode_file_descriptor_set(set);
            added.map_err(|e| DescriptorError(e.to_string()))?;
        }
        let names = pool.services().map(|s| s.full_name().to_string());
        let mut listed: Vec<_> = names.collect();
        listed.sort();
        let visible = pool.files().map(|file| file.name().to_string()).collect();
        Ok(Reflection {
            pool,
            listed,
            visible,
            limits: PeerLimits::default(),
        })
    }

    /// Like [`Reflection::of_set`], for files from the function `file_descriptor_proto` of
    /// generated code. They must include all imports.
    ///
    /// # Errors
    /// [`DescriptorError`] if an import is missing.
    pub fn of_files<'a>(
        files: impl IntoIterator<Item = &'a FileDescriptorProto>,
    ) -> Result<Reflection, DescriptorError> {
        let set = FileDescriptorSet {
            file: files.into_iter().cloned().collect::<Vec<_>>().into(),
            ..FileDescriptorSet::default()
        };
        let set = set.write_to_bytes();
        Reflection::of_set(&set.map_err(|e| DescriptorError(e.to_string()))?)
    }

    /// Exposes only these services and their files, for a set that describes more than the server
    /// has. Unknown names are ignored.
    #[must_use]
    pub fn only(mut self, services: &[&str]) -> Reflection {
        self.listed.retain(|name| services.contains(&name.as_str()));
        self.visible.clear();
        for service in &self.listed {
            if let Some(service) = self.pool.get_service_by_name(service) {
                for file in with_imports(service.parent_file()) {
                    self.visible.insert(file.name().into());
                }
            }
        }
        self
    }

    /// Applies the per-peer limits of `streams` to all calls.
    #[must_use]
    pub fn limited_by(self, streams: &Streams) -> Reflection {
        self.limits.set(streams.clone());
        self
    }

    /// Returns the service in v1 and v1alpha, both to be registered with a server: older tools only
    /// know v1alpha.
    pub fn services(&self) -> [Service; 2] {
        let reflection = Arc::new(self.clone());
        let slots = Slots::new(MAX_CALLS);
        [&V1, &V1ALPHA].map(|method| {
            let (reflection, slots) = (reflection.clone(), slots.clone());
            let handler =
                move |ctx: RpcContext<'_>,
                      requests: RequestStream<Raw<ServerReflectionRequest>>,
                      sink: DuplexSink<ServerReflectionResponse>| {
                    let permits = reflection
                        .limits
                        .admit(&ctx)
                        .and_then(|permit| Ok((slots.take("ServerReflectionInfo", &ctx)?, permit)));
                    match permits {
                        Ok(permits) => {
                            ctx.spawn(converse(reflection.clone(), requests, sink, permits))
                        }
                        // Dropping the requests before the status is written cancels the call.
                        Err(status) => ctx.spawn(sink.fail(status).map(move |_| drop(requests))),
                    }
                };
            ServiceBuilder::new()
                .add_duplex_streaming_handler(method, handler)
                .build()
        })
    }

    fn answer(&self, request: ServerReflectionRequest) -> ServerReflectionResponse {
        let answer = match &request.message_request {
            Some(Asked::file_by_filename(name)) => self
                .files(self.pool.get_file_by_name(name))
                .ok_or_else(|| format!("no file `{name}`")),
            Some(Asked::file_containing_symbol(symbol)) => self
                .files(self.file_with(symbol))
                .ok_or_else(|| format!("no symbol `{symbol}`")),
            Some(Asked::file_containing_extension(asked)) => {
                let (name, number) = (&asked.containing_type, asked.extension_number);
                self.files(self.file_extending(name, number))
                    .ok_or_else(|| format!("no extension {number} of `{name}`"))
            }
            Some(Asked::all_extension_numbers_of_type(name)) => self
                .extensions(name)
                .ok_or_else(|| format!("no type `{name}`")),
            Some(Asked::list_services(_)) => Ok(self.list()),
            None => Err(String::new()),
        };
        let answer = answer.unwrap_or_else(|message| {
            let (code, message) = match message.as_str() {
                "" => (
                    RpcStatusCode::INVALID_ARGUMENT,
                    "the request is empty".into(),
                ),
                _ => (RpcStatusCode::NOT_FOUND, message),
            };
            Answer::error_response(ErrorResponse {
                error_code: code.into(),
                error_message: message,
                ..ErrorResponse::default()
            })
        });
        ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request).into(),
            message_response: Some(answer),
            ..ServerReflectionResponse::default()
        }
    }

    fn list(&self) -> Answer {
        let services = self.listed.iter().map(|name| ServiceResponse {
            name: name.clone(),
            ..ServiceResponse::default()
        });
        Answer::list_services_response(ListServiceResponse {
            service: services.collect::<Vec<_>>().into(),
            ..ListServiceResponse::default()
        })
    }

    /// Returns `file` and its imports, direct and indirect, with `file` first.
    fn files(&self, file: Option<FileDescriptor>) -> Option<Answer> {
        let file = file.filter(|file| self.visible.contains(file.name()))?;
        let files = with_imports(file).into_iter();
        Some(Answer::file_descriptor_response(FileDescriptorResponse {
            file_descriptor_proto: files
                .map(|file| file.encode_to_vec())
                .collect::<Vec<_>>()
                .into(),
            ..FileDescriptorResponse::default()
        }))
    }

    /// Returns the file that declares a service, method, type, field, oneof, enum value or
    /// extension.
    fn file_with(&self, symbol: &str) -> Option<FileDescriptor> {
        let pool = &self.pool;
        if let Some(message) = pool.get_message_by_name(symbol) {
            return Some(message.parent_file());
        }
        if let Some(service) = pool.get_service_by_name(symbol) {
            return Some(service.parent_file());
        }
        if let Some(found) = pool.get_enum_by_name(symbol) {
            return Some(found.parent_file());
        }
        if let Some(extension) = pool.get_extension_by_name(symbol) {
            return Some(extension.parent_file());
        }
        let (parent, name) = symbol.rsplit_once('.').unwrap_or(("", symbol));
        if let Some(service) = pool.get_service_by_name(parent) {
            let mut methods = service.methods();
            if methods.any(|method| method.name() == name) {
                return Some(service.parent_file());
            }
        }
        if let Some(message) = pool.get_message_by_name(parent) {
            let is_oneof = message.oneofs().any(|oneof| oneof.name() == name);
            if is_oneof || message.get_field_by_name(name).is_some() {
                return Some(message.parent_file());
            }
        }
        // An enum value is in the scope of the enum's parent, not of the enum.
        let value = pool.all_enums().find(|found| {
            let mut values = found.values();
            values.any(|value| value.full_name() == symbol)
        });
        value.map(|found| found.parent_file())
    }

    fn file_extending(&self, name: &str, number: i32) -> Option<FileDescriptor> {
        let message = self.pool.get_message_by_name(name)?;
        let extension = message.get_extension(number.try_into().ok()?)?;
        Some(extension.parent_file())
    }

    fn extensions(&self, name: &str) -> Option<Answer> {
        let message = self.pool.get_message_by_name(name)?;
        if !self.visible.contains(message.parent_file().name()) {
            return None;
        }
        let seen = message
            .extensions()
            .filter(|extension| self.visible.contains(extension.parent_file().name()));
        Some(Answer::all_extension_numbers_response(
            ExtensionNumberResponse {
                base_type_name: name.into(),
                extension_number: seen.map(|extension| extension.number() as i32).collect(),
                ..ExtensionNumberResponse::default()
            },
        ))
    }
}

impl fmt::Debug for Reflection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reflection")
            .field("listed", &self.listed)
            .field("visible", &self.visible)
            .finish_non_exhaustive()
    }
}

fn with_imports(file: FileDescriptor) -> Vec<FileDescriptor> {
    let mut files = vec![file];
    let mut next = 0;
    while next < files.len() {
        for import in files[next].clone().dependencies() {
            if !files.contains(&import) {
                files.push(import);
            }
        }
        next += 1;
    }
    files
}

/// Runs one call. It answers each request before it reads the next one.
async fn converse(
    reflection: Arc<Reflection>,
    mut requests: RequestStream<Raw<ServerReflectionRequest>>,
    mut sink: DuplexSink<ServerReflectionResponse>,
    _permits: (Slot, Option<PeerPermit>),
) {
    while let Some(Ok(request)) = requests.next().await {
        match request.decode(MAX_REQUEST_BYTES) {
            Ok(request) => {
                let answer = reflection.answer(request);
                if sink.send((answer, WriteFlags::default())).await.is_err() {
                    return; // the client has disconnected
                }
            }
            Err(status) => {
                let _ = sink.fail(status.into()).await; // fails if the client has disconnected
                return;
            }
        }
    }
    let _ = sink.close().await; // fails if the client has disconnected
}
