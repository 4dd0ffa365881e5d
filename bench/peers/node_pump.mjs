// A plain relay of Node and ws: messages are sent on as they come.
//
//     node node_pump.mjs PORT UPSTREAM_ORIGIN CA_FILE

import { readFileSync } from "node:fs";
import { WebSocket, WebSocketServer } from "ws";

const [port, origin, caFile] = process.argv.slice(2);
const ca = readFileSync(caFile);
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port), backlog: 1024 });

server.on("connection", (downstream, request) => {
  const early = [];
  const upstream = new WebSocket(origin + request.url, { ca, perMessageDeflate: false });
  const forward = (data, binary) => upstream.send(data, { binary });
  downstream.on("message", (data, binary) =>
    upstream.readyState === WebSocket.OPEN ? forward(data, binary) : early.push([data, binary]),
  );
  upstream.on("open", () => early.splice(0).forEach(([data, binary]) => forward(data, binary)));
  upstream.on("message", (data, binary) => downstream.send(data, { binary }));
  for (const [side, other] of [[upstream, downstream], [downstream, upstream]]) {
    side.on("close", () => other.close());
    side.on("error", () => other.close());
  }
});
