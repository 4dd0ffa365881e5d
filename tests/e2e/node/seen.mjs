// What a developer is told: node seen.mjs SDK TARGETS LIMIT
// SDK: ws, node, openai-ws, openai-websocket or agents. TARGETS: a JSON list of {case, secure, plain,
// model}. Prints, by case, all that was told and how it ended, as JSON.
import { inspect } from "node:util";
import NodeWS from "ws";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { OpenAIRealtimeWebSocket as OpenAIRealtimeNative } from "openai/realtime/websocket";
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from "@openai/agents-realtime";

const [sdk, targets] = process.argv.slice(2);
const SPOKEN = JSON.stringify({ type: "input_audio_buffer.clear" });
const url = ({ plain, model }) => `${plain.replace("http", "ws")}/v1/realtime?model=${model}`;

// A library's WebSocket or node's own. After an error node 20 tells no close.
function socket(Socket, target, told) {
  const websocket = new Socket(url(target));
  websocket.onmessage = ({ data }) => {
    told.push(data);
    if (data.includes("session.created")) websocket.send(SPOKEN);
  };
  return new Promise((over) => {
    websocket.onerror = ({ message }) => {
      told.push(message);
      over("an error event");
    };
    websocket.onclose = ({ code, reason }) => {
      told.push(`close ${code} ${reason}`);
      over("a close event");
    };
  });
}

function openai(Socket, { secure, model }, told) {
  const options = { apiKey: "anything", baseURL: `${secure}/v1`, dangerouslyAllowBrowser: true };
  const rt = new Socket({ model }, new OpenAI(options));
  rt.on("session.created", () => rt.send(JSON.parse(SPOKEN)));
  return new Promise((over) => {
    rt.on("error", (error) => {
      told.push(inspect(error));
      // Where the handshake was refused, nothing else need follow.
      if (rt.socket.readyState !== 1) over("an error event");
    });
    rt.socket.addEventListener("close", ({ code, reason }) => {
      told.push(`close ${code} ${reason}`);
      over("a close event");
    });
  });
}

async function agents(target, told) {
  const transport = new OpenAIRealtimeWebSocket({ url: url(target) });
  const agent = new RealtimeAgent({ name: "parrot", instructions: "Repeat what you hear." });
  const session = new RealtimeSession(agent, { transport });
  session.on("error", (error) => told.push(inspect(error, { depth: 9 })));
  const over = new Promise((resolve) =>
    transport.on("connection_change", (state) => state === "disconnected" && resolve()),
  );
  const rejected = await session.connect({ apiKey: "anything" }).then(
    () => false,
    (error) => told.push(inspect(error)),
  );
  await over;
  return rejected ? "connect rejects" : "a disconnected event";
}

const clients = {
  ws: (target, told) => socket(NodeWS, target, told),
  node: (target, told) => socket(globalThis.WebSocket, target, told),
  "openai-ws": (target, told) => openai(OpenAIRealtimeWS, target, told),
  "openai-websocket": (target, told) => openai(OpenAIRealtimeNative, target, told),
  agents,
};

const seen = {};
for (const target of JSON.parse(targets)) {
  const told = [];
  const end = await clients[sdk](target, told);
  seen[target.case] = { told, end };
}
console.log(JSON.stringify(seen));
process.exit(0);
