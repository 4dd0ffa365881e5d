// Open a session at each target, speak in it, and go on as the SDK does until it gives up:
//   node attempts.mjs SDK TARGETS LIMIT
// SDK: openai, openai-reconnect or agents. TARGETS: a JSON list of {secure, plain, model}.
// LIMIT: after so many attempts a client is stopped. The relay's log has the count.
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { OpenAIRealtimeWebSocket } from "@openai/agents-realtime";

const [sdk, targets, limit] = process.argv.slice(2);
const SPOKEN = JSON.stringify({ type: "input_audio_buffer.clear" });

function openai({ secure, model }, reconnect) {
  const client = new OpenAI({ apiKey: "anything", baseURL: `${secure}/v1` });
  const delays = { reconnectInitialDelay: 1, reconnectMaxDelay: 1 };
  const rt = new OpenAIRealtimeWS({ model, reconnect, ...(reconnect ? delays : {}) }, client);
  return new Promise((over) => {
    rt.on("error", () => {});
    rt.on("session.created", () => rt.socket.send(SPOKEN));
    if (!reconnect) return rt.socket.on("close", over);
    rt.on("reconnecting", ({ attempt }) => attempt >= Number(limit) && rt.close());
    rt.on("close", over);
  });
}

async function agents({ plain, model }) {
  const url = `${plain.replace("http", "ws")}/v1/realtime?model=${model}`;
  const transport = new OpenAIRealtimeWebSocket({ url });
  transport.on("error", () => {});
  const over = new Promise((resolve) =>
    transport.on("connection_change", (status) => status === "disconnected" && resolve()),
  );
  // It speaks by itself: a session.update.
  await transport.connect({ apiKey: "anything" }).catch(() => {});
  await over;
}

const clients = {
  openai: (target) => openai(target, false),
  "openai-reconnect": (target) => openai(target, true),
  agents,
};
await Promise.all(JSON.parse(targets).map(clients[sdk]));
