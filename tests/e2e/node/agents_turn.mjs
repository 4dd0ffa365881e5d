// A turn of speech by agents-realtime: node agents_turn.mjs WS_URL SAMPLES [by-client]
// With the last word it speaks through the browser's client, in place of a WebSocket.
import { readFileSync } from "node:fs";
import { OpenAIRealtimeWebSocket } from "@openai/agents-realtime";
import WebSocket from "ws";
import { RealtimeSocket } from "../../../relay/web/static/realtime-client.js";

const [url, samples, byClient] = process.argv.slice(2);
const speech = readFileSync(samples);
const createWebSocket = async ({ url, apiKey }) =>
  new RealtimeSocket(url, { credential: apiKey, WebSocket });
const transport = new OpenAIRealtimeWebSocket(byClient ? { url, createWebSocket } : { url });
const told = { first: null, audio: [] };

transport.on("*", (event) => (told.first ??= event.type));
transport.on("audio", ({ data }) => told.audio.push(Buffer.from(data).toString("base64")));
transport.on("error", (error) => {
  throw new Error(JSON.stringify(error));
});
transport.on("response.done", ({ response }) => {
  transport.close();
  console.log(JSON.stringify({ ...told, status: response.status }));
});

await transport.connect({
  apiKey: "anything",
  initialSessionConfig: { audio: { input: { turnDetection: null } } },
});
const { buffer, byteOffset, length } = speech;
transport.sendAudio(buffer.slice(byteOffset, byteOffset + length), { commit: true });
transport.requestResponse();
