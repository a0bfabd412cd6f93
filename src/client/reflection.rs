//! Fetches a server's descriptors over reflection, without retries. All requests of one [`Protos`]
//! share one call, which [`CallSettings::timeout`](super::CallSettings::timeout) limits. It must
//! not know health.

use std::collections::BTreeMap;
use std::fmt;

use futures::{SinkExt, StreamExt};
use grpcio::{
    ClientDuplexReceiver, ClientDuplexSender, Method, MethodType, RpcStatusCode, WriteFlags,
};
use prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::DescriptorPool;

use super::retry::{deadline_after, time_left};
use super::Client;
use crate::engine::codec::method;
use crate::engine::thread_waker::block_on;
use crate::engine::{CallStatus, ReceiveError};
use crate::proto::reflection::{
    ServerReflectionRequest, ServerReflectionRequest_oneof_message_request as Asked,
    ServerReflectionResponse, ServerReflectionResponse_oneof_message_response as Answer,
};
use crate::proto::reflection_grpc::METHOD_SERVER_REFLECTION_SERVER_REFLECTION_INFO as V1;

impl Client {
    /// Starts a reflection call and lists the server's services. Uses reflection v1, or v1alpha if
    /// the server does not have v1. Blocks until the list has arrived or the call has failed.
    ///
    /// # Errors
    /// The status of the call: UNIMPLEMENTED if the server has neither version.
    pub fn protos(&self) -> Result<Protos, ReceiveError> {
        match Protos::begin(self, &V1) {
            Err(ReceiveError::Status(status)) if unimplemented(&status) => {
                Protos::begin(self, &V1ALPHA)
            }
            other => other,
        }
    }
}

fn unimplemented(status: &CallStatus) -> bool {
    status.code() == RpcStatusCode::UNIMPLEMENTED
}

type Info = Method<ServerReflectionRequest, ServerReflectionResponse>;

/// On the wire, its messages are the same as in v1.
const V1ALPHA: Info = method(
    MethodType::Duplex,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
);

/// An open reflection call and the descriptors received so far. Dropping it ends the call.
pub struct Protos {
    requests: ClientDuplexSender<ServerReflectionRequest>,
    responses: ClientDuplexReceiver<ServerReflectionResponse>,
    services: Vec<String>,
    /// Files received so far, by name.
    files: BTreeMap<String, FileDescriptorProto>,
    /// Keeps the poll thread running.
    _client: Client,
}

impl Protos {
    fn begin(client: &Client, method: &Info) -> Result<Protos, ReceiveError> {
        let deadline = deadline_after(client.settings.timeout);
        if let Some(race) = client.connection.race() {
            let _over = block_on(race);
        }
        let options = client.settings.options(time_left(deadline), 0);
        let call = client.connection.core().duplex_streaming(method, options);
        let (requests, responses) = call.map_err(failure)?;
        let mut protos = Protos {
            requests,
            responses,
            services: Vec::new(),
            files: BTreeMap::new(),
            _client: client.clone(),
        };
        let answer = protos.ask(Asked::list_services(String::new()))?;
        let Answer::list_services_response(mut listed) = answer else {
            return Err(broken("the server sent a response of another kind"));
        };
        let names = listed.take_service().into_iter();
        protos.services = names.map(|mut service| service.take_name()).collect();
        protos.services.sort();
        Ok(protos)
    }

    /// Returns the full names of the services, sorted.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// Fetches the file that declares `symbol` (a full name) and all of its imports. Blocks until
    /// they have arrived or the call has failed.
    ///
    /// # Errors
    /// The server's error: NOT_FOUND if it does not know the symbol.
    pub fn describe(&mut self, symbol: impl Into<String>) -> Result<DescriptorPool, ReceiveError> {
        self.add(Asked::file_containing_symbol(symbol.into()))?;
        // Most servers send a file together with its imports, but not all.
        while let Some(missing) = self.missing() {
            self.add(Asked::file_by_filename(missing.clone()))?;
            if !self.files.contains_key(&missing) {
                return Err(broken(&format!("the server does not send `{missing}`")));
            }
        }
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(self.files.values().cloned())
            .map_err(|error| broken(&error.to_string()))?;
        Ok(pool)
    }

    fn missing(&self) -> Option<String> {
        let imports = self.files.values().flat_map(|file| &file.dependency);
        let mut missing = imports.filter(|name| !self.files.contains_key(*name));
        missing.next().cloned()
    }

    fn add(&mut self, asked: Asked) -> Result<(), ReceiveError> {
        let Answer::file_descriptor_response(answer) = self.ask(asked)? else {
            return Err(broken("the server sent a response of another kind"));
        };
        for file in answer.get_file_descriptor_proto() {
            let file = FileDescriptorProto::decode(file.as_slice());
            let file = file.map_err(|error| broken(&error.to_string()))?;
            self.files.insert(file.name().into(), file);
        }
        Ok(())
    }

    /// Sends a request and blocks until its response has arrived.
    fn ask(&mut self, asked: Asked) -> Result<Answer, ReceiveError> {
        let request = ServerReflectionRequest {
            message_request: Some(asked),
            ..ServerReflectionRequest::default()
        };
        let sent = self.requests.send((request, WriteFlags::default()));
        // If it cannot be sent, the call is over, and the next response is its status.
        let _ = block_on(sent);
        match block_on(self.responses.next()) {
            Some(Ok(ServerReflectionResponse {
                message_response: Some(answer),
                ..
            })) => match answer {
                Answer::error_response(error) => {
                    let code = RpcStatusCode::from(error.error_code);
                    let status = CallStatus::local(code, error.error_message);
                    Err(ReceiveError::Status(status))
                }
                answer => Ok(answer),
            },
            Some(Ok(_)) => Err(broken("the server sent an empty response")),
            Some(Err(error)) => Err(failure(error)),
            None => Err(broken("the server ended the call without a response")),
        }
    }
}

impl fmt::Debug for Protos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protos")
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

fn failure(error: grpcio::Error) -> ReceiveError {
    match error {
        grpcio::Error::RpcFailure(status) | grpcio::Error::RpcFinished(Some(status)) => {
            ReceiveError::Status(CallStatus::from(status))
        }
        other => ReceiveError::Broken(other),
    }
}

fn broken(what: &str) -> ReceiveError {
    ReceiveError::Broken(grpcio::Error::Codec(format!("reflection: {what}").into()))
}
