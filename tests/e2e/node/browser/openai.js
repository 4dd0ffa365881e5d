import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";

const shown = document.querySelector("pre");
const { base, value, model } = await (await fetch("/openai.json")).json();
const client = new OpenAI({ baseURL: base, apiKey: value, dangerouslyAllowBrowser: true });
const realtime = new OpenAIRealtimeWebSocket({ model }, client);
const say = (line) => (shown.textContent += `${line}\n`);

realtime.on("event", ({ type, delta }) => say(delta ? `${type} ${delta}` : type));
realtime.on("error", ({ message }) => say(`error ${message}`));
realtime.on("session.created", () => {
  const content = [{ type: "input_text", text: "Hello, parrot." }];
  realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  realtime.send({ type: "response.create", response: { output_modalities: ["text"] } });
});
realtime.on("response.done", () => realtime.close());
realtime.socket.addEventListener("close", ({ code }) => say(`closed ${code}`));
