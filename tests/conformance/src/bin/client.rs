//! The suite's client: reads calls from standard input, runs them concurrently, and writes their
//! outcomes to standard output.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Stdin, Stdout};
use std::sync::{mpsc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use fanstream::client::{CallSettings, Client, Header, HeaderError};
use fanstream::engine::{Payload, ReceiveError};
use fanstream::grpcio::{Method, RpcStatus, RpcStatusCode};
use fanstream::protobuf::{Message, SingularPtrField};
use fanstream::security::{ClientIdentity, ClientTls};
use fanstream_conformance::client_compat::{
    ClientCompatRequest, ClientCompatRequest_Cancel_oneof_cancel_timing as CancelTiming,
    ClientCompatResponse, ClientResponseResult,
};
use fanstream_conformance::config::Compression;
use fanstream_conformance::service::ConformancePayload;
use fanstream_conformance::service_grpc::{
    METHOD_CONFORMANCE_SERVICE_SERVER_STREAM, METHOD_CONFORMANCE_SERVICE_UNARY,
    METHOD_CONFORMANCE_SERVICE_UNIMPLEMENTED,
};
use fanstream_conformance::{error_from, headers_from, read_message, write_file, write_message};
use tempfile::TempDir;

/// The most concurrent calls: some wait for seconds.
const CALLS: usize = 16;

/// The suite abandons a call after 20 s and counts it as failed.
const LONGEST_UNARY: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let runner = Runner {
        input: Mutex::new(io::stdin()),
        output: Mutex::new(io::stdout()),
        directory: tempfile::tempdir()?,
        clients: Mutex::default(),
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CALLS).map(|_| scope.spawn(|| runner.run())).collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}

struct Runner {
    input: Mutex<Stdin>,
    output: Mutex<Stdout>,
    /// For certificates.
    directory: TempDir,
    clients: Mutex<HashMap<Server, Client>>,
}

/// The key of a client.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Server {
    address: String,
    gzip: bool,
    certificate: Vec<u8>,
    /// Certificate and key of the client.
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Runner {
    fn run(&self) -> io::Result<()> {
        loop {
            let request: Option<ClientCompatRequest> = read_message(&mut *lock(&self.input))?;
            let Some(request) = request else {
                return Ok(());
            };
            let mut response = ClientCompatResponse::new();
            response.test_name = request.test_name.clone();
            match self.call(request) {
                Ok(result) => response.set_response(result),
                Err(error) => response.mut_error().message = error.to_string(),
            }
            write_message(&mut *lock(&self.output), &response)?;
        }
    }

    /// Runs one call; an error says why it cannot start.
    fn call(&self, request: ClientCompatRequest) -> Result<ClientResponseResult, Box<dyn Error>> {
        let call = Call::new(self.client(&request)?, &request)?;
        let [message] = &*request.request_messages else {
            return Err("expected one request message".into());
        };
        match request.get_method() {
            "Unary" => call.unary(
                &METHOD_CONFORMANCE_SERVICE_UNARY,
                &message.value,
                |response| response.payload,
            ),
            "Unimplemented" => call.unary(
                &METHOD_CONFORMANCE_SERVICE_UNIMPLEMENTED,
                &message.value,
                |_| SingularPtrField::none(),
            ),
            "ServerStream" => call.stream(
                &METHOD_CONFORMANCE_SERVICE_SERVER_STREAM,
                &message.value,
                |response| response.payload,
            ),
            other => Err(format!("there is no method {other} here").into()),
        }
    }

    /// The client for the server of this request, shared by all calls to that server.
    fn client(&self, request: &ClientCompatRequest) -> Result<Client, Box<dyn Error>> {
        let server = Server::of(request);
        let mut clients = lock(&self.clients);
        if let Some(client) = clients.get(&server) {
            return Ok(client.clone());
        }
        let file = |kind: &str, content: &[u8]| {
            let name = format!("{}-{kind}.pem", clients.len());
            write_file(self.directory.path(), &name, content)
        };
        let mut builder = Client::builder(server.address.as_str()).gzip(server.gzip);
        if !server.certificate.is_empty() {
            let mut tls = ClientTls::with_authorities(file("server", &server.certificate)?)?;
            if let Some((certificate, key)) = &server.identity {
                let (certificate, key) = (file("certificate", certificate)?, file("key", key)?);
                tls.identity = Some(ClientIdentity::from_files(certificate, key)?);
            }
            builder = builder.tls(tls);
        }
        let client = builder.connect()?;
        clients.insert(server, client.clone());
        Ok(client)
    }
}

impl Server {
    fn of(request: &ClientCompatRequest) -> Server {
        let identity = request.client_tls_creds.as_ref();
        Server {
            address: format!("{}:{}", request.host, request.port),
            gzip: request.compression == Compression::COMPRESSION_GZIP,
            certificate: request.server_tls_cert.clone(),
            identity: identity.map(|creds| (creds.cert.clone(), creds.key.clone())),
        }
    }
}

/// Settings of a call.
struct Call {
    client: Client,
    settings: CallSettings,
    cancel: Option<CancelTiming>,
}

impl Call {
    fn new(client: Client, request: &ClientCompatRequest) -> Result<Call, HeaderError> {
        let mut settings = client.call_settings();
        if request.has_timeout_ms() {
            let timeout = request.get_timeout_ms();
            settings.timeout = Some(Duration::from_millis(timeout.into()));
        }
        for header in &*request.request_headers {
            for value in &*header.value {
                let header = Header::new(&header.name, value.as_str())?;
                settings.headers.push(header);
            }
        }
        let cancel = request.cancel.as_ref().map(|cancel| {
            let at_once = CancelTiming::after_close_send_ms(0);
            cancel.cancel_timing.clone().unwrap_or(at_once)
        });
        Ok(Call {
            client,
            settings,
            cancel,
        })
    }

    fn unary<Req: Message, Resp: Payload>(
        self,
        method: &'static Method<Req, Resp>,
        request: &[u8],
        payload: impl Fn(Resp) -> SingularPtrField<ConformancePayload>,
    ) -> Result<ClientResponseResult, Box<dyn Error>> {
        if self.cancel.is_some() {
            // A unary call blocks until its end; a stream of one response can be cancelled.
            return self.stream(method, request, payload);
        }
        let request = Req::parse_from_bytes(request)?;
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(self.client.unary_with(method, request, self.settings)));
        let Ok(ended) = ended.recv_timeout(LONGEST_UNARY) else {
            return Err(format!("the call had not ended after {LONGEST_UNARY:?}").into());
        };
        let mut result = ClientResponseResult::new();
        match ended {
            Ok(response) => {
                result.response_headers = headers_from(&response.headers);
                result.response_trailers = headers_from(&response.trailers);
                result
                    .payloads
                    .push(payload(response.message).unwrap_or_default());
            }
            Err(error) => fail(&mut result, error),
        }
        Ok(result)
    }

    fn stream<Req: Message, Resp: Payload>(
        self,
        method: &Method<Req, Resp>,
        request: &[u8],
        payload: impl Fn(Resp) -> SingularPtrField<ConformancePayload>,
    ) -> Result<ClientResponseResult, Box<dyn Error>> {
        let request = Req::parse_from_bytes(request)?;
        let mut result = ClientResponseResult::new();
        let mut stream = self.client.call_with(method, request, self.settings);
        let mut is_cancelled = false;
        if let Some(CancelTiming::after_close_send_ms(delay)) = self.cancel {
            thread::sleep(Duration::from_millis(delay.into()));
            stream.cancel();
            is_cancelled = true;
        }
        while let Some(response) = stream.next() {
            match response {
                Ok(response) => result.payloads.push(payload(response).unwrap_or_default()),
                Err(error) => fail(&mut result, error),
            }
            let received = result.payloads.len() as u32;
            if self.cancel == Some(CancelTiming::after_num_responses(received)) {
                stream.cancel();
                is_cancelled = true;
            }
        }
        // A call cancelled by this side ends without a status.
        if is_cancelled && stream.status().is_none() {
            result.set_error(error_from(&RpcStatus::new(RpcStatusCode::CANCELLED)));
        }
        if let Some(headers) = stream.headers() {
            result.response_headers = headers_from(headers);
        }
        if let Some(status) = stream.status() {
            result.response_trailers = headers_from(status.trailers());
        }
        Ok(result)
    }
}

fn fail(result: &mut ClientResponseResult, error: ReceiveError) {
    let status = match error {
        ReceiveError::Status(status) => status,
        other => RpcStatus::with_message(RpcStatusCode::UNKNOWN, other.to_string()).into(),
    };
    result.response_headers = headers_from(status.headers());
    result.response_trailers = headers_from(status.trailers());
    result.set_error(error_from(status.as_rpc_status()));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
