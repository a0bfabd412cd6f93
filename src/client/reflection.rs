//! Asks a server for its protos, over reflection. Each question blocks, for
//! [`CallSettings::timeout`](super::CallSettings::timeout) at most, and is asked once. It must not know
//! health.

use std::collections::BTreeMap;
use std::fmt;

use futures::executor::block_on;
use futures::{SinkExt, StreamExt};
use grpcio::{
    ClientDuplexReceiver, ClientDuplexSender, Method, MethodType, RpcStatus, RpcStatusCode,
    WriteFlags,
};
use prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::DescriptorPool;

use super::unary::failure;
use super::Client;
use crate::engine::codec::method;
use crate::engine::ReceiveError;
use crate::proto::reflection::{
    ServerReflectionRequest, ServerReflectionRequest_oneof_message_request as Asked,
    ServerReflectionResponse, ServerReflectionResponse_oneof_message_response as Answer,
};
use crate::proto::reflection_grpc::METHOD_SERVER_REFLECTION_SERVER_REFLECTION_INFO as V1;

impl Client {
    /// Asks for the server's services, and is ready to ask for more. Uses reflection v1, or
    /// v1alpha where the server has only that.
    ///
    /// # Errors
    /// The status of the call: UNIMPLEMENTED when the server has neither.
    pub fn protos(&self) -> Result<Protos, ReceiveError> {
        match Protos::begin(self, &V1) {
            Err(ReceiveError::Status(status)) if unimplemented(&status) => {
                Protos::begin(self, &V1ALPHA)
            }
            other => other,
        }
    }
}

fn unimplemented(status: &RpcStatus) -> bool {
    status.code() == RpcStatusCode::UNIMPLEMENTED
}

type Info = Method<ServerReflectionRequest, ServerReflectionResponse>;

/// On the wire its messages are those of v1.
const V1ALPHA: Info = method(
    MethodType::Duplex,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
);

/// The protos of a server, as it tells them. Dropping it ends its one call.
pub struct Protos {
    questions: ClientDuplexSender<ServerReflectionRequest>,
    answers: ClientDuplexReceiver<ServerReflectionResponse>,
    services: Vec<String>,
    /// What came so far, by name.
    files: BTreeMap<String, FileDescriptorProto>,
    /// Its poll thread ends with it.
    _client: Client,
}

impl Protos {
    fn begin(client: &Client, method: &Info) -> Result<Protos, ReceiveError> {
        let options = client.settings.options(client.settings.timeout);
        let call = client.core.duplex_streaming(method, options);
        let (questions, answers) = call.map_err(failure)?;
        let mut protos = Protos {
            questions,
            answers,
            services: Vec::new(),
            files: BTreeMap::new(),
            _client: client.clone(),
        };
        let answer = protos.ask(Asked::list_services(String::new()))?;
        let Answer::list_services_response(mut listed) = answer else {
            return Err(broken("the server answers another question"));
        };
        let names = listed.take_service().into_iter();
        protos.services = names.map(|mut service| service.take_name()).collect();
        protos.services.sort();
        Ok(protos)
    }

    /// The full names of the services, in order.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// The descriptors of `symbol`, a full name, and of all that they need.
    ///
    /// # Errors
    /// NOT_FOUND, of the server, when it has no such symbol.
    pub fn describe(&mut self, symbol: &str) -> Result<DescriptorPool, ReceiveError> {
        self.add(Asked::file_containing_symbol(symbol.into()))?;
        // Most servers send what a file imports along with it, but not all of them.
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
            return Err(broken("the server answers another question"));
        };
        for file in answer.get_file_descriptor_proto() {
            let file = FileDescriptorProto::decode(file.as_slice());
            let file = file.map_err(|error| broken(&error.to_string()))?;
            self.files.insert(file.name().into(), file);
        }
        Ok(())
    }

    /// Blocks until the answer is there.
    fn ask(&mut self, asked: Asked) -> Result<Answer, ReceiveError> {
        let request = ServerReflectionRequest {
            message_request: Some(asked),
            ..ServerReflectionRequest::default()
        };
        let sent = self.questions.send((request, WriteFlags::default()));
        // When it cannot be sent, the call is over, and the answer is its status.
        let _ = block_on(sent);
        match block_on(self.answers.next()) {
            Some(Ok(ServerReflectionResponse {
                message_response: Some(answer),
                ..
            })) => match answer {
                Answer::error_response(error) => {
                    let code = RpcStatusCode::from(error.error_code);
                    let status = RpcStatus::with_message(code, error.error_message);
                    Err(ReceiveError::Status(status))
                }
                answer => Ok(answer),
            },
            Some(Ok(_)) => Err(broken("the server answers nothing")),
            Some(Err(error)) => Err(failure(error)),
            None => Err(broken("the server ends the call without an answer")),
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

fn broken(what: &str) -> ReceiveError {
    ReceiveError::Broken(grpcio::Error::Codec(format!("reflection: {what}").into()))
}
