//! A role of this program: the cheapest possible server with grpcio's API. It sends the responses
//! of the shipped one from an iterator fed straight into the sink on the poll thread: no channel,
//! no workers, nothing that may block. It is a yardstick, not an example.

use std::sync::Arc;
use std::thread;

use anyhow::Result;
use clap::Args;
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::{create_stream_service, StreamService};
use futures::{stream, SinkExt};
use grpcio::{
    ChannelBuilder, EnvBuilder, RpcContext, ServerBuilder, ServerCredentials, ServerStreamingSink,
    WriteFlags,
};

#[derive(Args)]
pub struct FloorArgs {
    #[arg(long)]
    responses: u32,
}

/// Serves until it is killed.
pub fn serve(args: &FloorArgs) -> Result<()> {
    let env = Arc::new(EnvBuilder::new().build());
    // As the shipped server sets them.
    let channel_args = ChannelBuilder::new(env.clone())
        .reuse_port(false)
        .max_receive_message_len(-1)
        .build_args();
    let service = create_stream_service(Floor {
        responses: args.responses,
    });
    let mut server = ServerBuilder::new(env)
        .channel_args(channel_args)
        .register_service(service)
        .build()?;
    let port = server.add_listening_port("127.0.0.1:0", ServerCredentials::insecure())?;
    server.start();
    println!("listening on 127.0.0.1:{port}");
    loop {
        thread::park();
    }
}

#[derive(Clone)]
struct Floor {
    responses: u32,
}

impl StreamService for Floor {
    fn fetch_response(
        &mut self,
        ctx: RpcContext<'_>,
        request: Request,
        mut sink: ServerStreamingSink<Response>,
    ) {
        let responses = 0..self.responses;
        ctx.spawn(async move {
            sink.enhance_batch(true);
            let messages = responses.map(|k| Ok((response(k, request.id), WriteFlags::default())));
            if sink.send_all(&mut stream::iter(messages)).await.is_ok() {
                let _ = sink.close().await;
            }
        });
    }
}

fn response(k: u32, id: i32) -> Response {
    Response {
        result: format!("Request #{k} For Id:{id}"),
        ..Response::default()
    }
}
