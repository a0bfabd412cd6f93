// The service of proto/stream.proto, for server and clients. Outside the checkout it runs from a copy of these directories,
// with the proto at the same place (scripts/implementations.py).

import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTO = fileURLToPath(new URL("../../../../proto/stream.proto", import.meta.url));

export const { StreamService } = grpc.loadPackageDefinition(protoLoader.loadSync(PROTO, { defaults: true })).protobuf;

/** The name of a status code, as the gRPC specification spells it. */
export function statusName(code) {
  return grpc.status[code] ?? grpc.status[grpc.status.UNKNOWN];
}
