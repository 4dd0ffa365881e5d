// A turn of text and a turn of speech by openai-node: node openai_turns.mjs BASE_URL SAMPLES
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [baseURL, samples] = process.argv.slice(2);
const CHUNK = 4800;
const speech = readFileSync(samples);
const client = new OpenAI({ apiKey: "anything", baseURL });
const rt = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
const told = { first: null, text: "", audio: [] };

function write(text) {
  rt.send({
    type: "conversation.item.create",
    item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
  });
  rt.send({ type: "response.create", response: { output_modalities: ["text"] } });
}

function speak() {
  for (let at = 0; at < speech.length; at += CHUNK) {
    const audio = speech.subarray(at, at + CHUNK).toString("base64");
    rt.send({ type: "input_audio_buffer.append", audio });
  }
  rt.send({ type: "input_audio_buffer.commit" });
  rt.send({ type: "response.create" });
}

const turns = [speak, () => rt.close({ code: 3001, reason: "done" })];
rt.on("event", (event) => (told.first ??= event.type));
rt.on("session.created", () => write("Grüß dich, 🦜!"));
rt.on("response.output_text.delta", (event) => (told.text += event.delta));
rt.on("response.output_audio.delta", (event) => told.audio.push(event.delta));
rt.on("response.done", () => turns.shift()());
rt.on("error", (error) => {
  throw error;
});
rt.socket.on("close", (close) => console.log(JSON.stringify({ ...told, close })));
