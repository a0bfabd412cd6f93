//! gRPC's interop cases, run with fanstream's client: `interop-client ADDRESS [CA] CASE...`, over
//! TLS when the second argument is the PEM file of an authority. Prints a line for each case; exits
//! 1 when one fails.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fanstream::client::{Client, ClientBuilder};
use fanstream::engine::ReceiveError;
use fanstream::grpcio::{Method, RpcStatus, RpcStatusCode};
use fanstream::security::ClientTls;
use fanstream_interop::test::{
    Empty, Payload, ResponseParameters, SimpleRequest, StreamingOutputCallRequest,
};
use fanstream_interop::test_grpc::{
    METHOD_TEST_SERVICE_EMPTY_CALL, METHOD_TEST_SERVICE_STREAMING_OUTPUT_CALL,
    METHOD_TEST_SERVICE_UNARY_CALL, METHOD_TEST_SERVICE_UNIMPLEMENTED_CALL,
    METHOD_UNIMPLEMENTED_SERVICE_UNIMPLEMENTED_CALL,
};

type Outcome = Result<(), Box<dyn Error>>;

/// Sizes prescribed by the descriptions of the cases.
const LARGE_REQUEST: usize = 271_828;
const LARGE_RESPONSE: usize = 314_159;
const STREAMED: [usize; 4] = [31_415, 9, 2_653, 58_979];

/// The default of grpc-go's client.
const SOAK_ITERATIONS: usize = 10;
const SOAK_LATENCY: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("interop-client: {error}");
            ExitCode::from(2)
        }
    }
}

/// The number of failed cases.
fn run(arguments: &[String]) -> Result<usize, Box<dyn Error>> {
    let [address, rest @ ..] = arguments else {
        return Err("usage: interop-client ADDRESS [CA] CASE...".into());
    };
    let (ca, cases) = match rest {
        [ca, cases @ ..] if ca.contains('.') => (Some(ca), cases),
        cases => (None, cases),
    };
    let mut builder = Client::builder(address.as_str()).timeout(Duration::from_secs(20));
    if let Some(ca) = ca {
        builder = builder.tls(ClientTls::with_authorities(ca)?);
    }
    let client = builder.clone().connect()?;
    let mut failed = 0;
    for case in cases {
        match check(case, &client, &builder) {
            Ok(()) => println!("ok {case}"),
            Err(error) => {
                failed += 1;
                println!("FAIL {case}: {error}");
            }
        }
    }
    Ok(failed)
}

fn check(case: &str, client: &Client, builder: &ClientBuilder) -> Outcome {
    match case {
        "empty_unary" => {
            client.unary(&METHOD_TEST_SERVICE_EMPTY_CALL, Empty::new())?;
            Ok(())
        }
        "large_unary" => large_unary(client),
        "server_streaming" => server_streaming(client),
        "special_status_message" => special_status_message(client),
        "unimplemented_method" => unimplemented(client, &METHOD_TEST_SERVICE_UNIMPLEMENTED_CALL),
        "unimplemented_service" => {
            unimplemented(client, &METHOD_UNIMPLEMENTED_SERVICE_UNIMPLEMENTED_CALL)
        }
        "rpc_soak" => soak(|| Ok(client.clone())),
        "channel_soak" => soak(|| Ok(builder.clone().connect()?)),
        other => Err(format!("there is no case {other}").into()),
    }
}

fn large_unary(client: &Client) -> Outcome {
    let mut request = SimpleRequest::new();
    request.response_size = LARGE_RESPONSE as i32;
    let mut payload = Payload::new();
    payload.body = vec![0; LARGE_REQUEST];
    request.set_payload(payload);
    let response = client.unary(&METHOD_TEST_SERVICE_UNARY_CALL, request)?;
    expect(
        "bytes of the response",
        response.get_payload().body.len(),
        LARGE_RESPONSE,
    )
}

fn server_streaming(client: &Client) -> Outcome {
    let mut request = StreamingOutputCallRequest::new();
    for size in STREAMED {
        let mut parameters = ResponseParameters::new();
        parameters.size = size as i32;
        request.response_parameters.push(parameters);
    }
    let mut sizes = Vec::new();
    for response in client.call(&METHOD_TEST_SERVICE_STREAMING_OUTPUT_CALL, request) {
        sizes.push(response?.get_payload().body.len());
    }
    expect("bytes of the responses", &sizes[..], &STREAMED[..])
}

fn special_status_message(client: &Client) -> Outcome {
    let message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
    let mut request = SimpleRequest::new();
    request.mut_response_status().code = 2;
    request.mut_response_status().message = message.into();
    let status = failure(client.unary(&METHOD_TEST_SERVICE_UNARY_CALL, request))?;
    expect("code", status.code(), RpcStatusCode::UNKNOWN)?;
    expect("message", status.message(), message)
}

fn unimplemented(client: &Client, method: &'static Method<Empty, Empty>) -> Outcome {
    let status = failure(client.unary(method, Empty::new()))?;
    expect("code", status.code(), RpcStatusCode::UNIMPLEMENTED)
}

/// Large unary calls in sequence, each on a client from `client`.
fn soak(client: impl Fn() -> Result<Client, Box<dyn Error>>) -> Outcome {
    for _ in 0..SOAK_ITERATIONS {
        let client = client()?;
        let start = Instant::now();
        large_unary(&client)?;
        if start.elapsed() > SOAK_LATENCY {
            return Err(format!("a call took {:?}", start.elapsed()).into());
        }
    }
    Ok(())
}

/// The status of a call that must fail.
fn failure<T>(result: Result<T, ReceiveError>) -> Result<RpcStatus, Box<dyn Error>> {
    match result {
        Ok(_) => Err("expected a failure, saw a response".into()),
        Err(ReceiveError::Status(status)) => Ok(status.into()),
        Err(other) => Err(other.into()),
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) -> Outcome {
    if seen == wanted {
        return Ok(());
    }
    Err(format!("{what}: expected {wanted:?}, saw {seen:?}").into())
}
