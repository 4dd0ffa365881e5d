// A turn of speech by agents-realtime: node agents_turn.mjs WS_URL SAMPLES
import { readFileSync } from "node:fs";
import { OpenAIRealtimeWebSocket } from "@openai/agents-realtime";

const [url, samples] = process.argv.slice(2);
const speech = readFileSync(samples);
const transport = new OpenAIRealtimeWebSocket({ url });
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
