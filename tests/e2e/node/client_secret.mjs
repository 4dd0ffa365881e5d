// Mint a secret by a key, and connect with it, by openai-node: node client_secret.mjs BASE_URL KEY
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [baseURL, apiKey] = process.argv.slice(2);
const backend = new OpenAI({ apiKey, baseURL });
const secret = await backend.realtime.clientSecrets.create({
  session: { type: "realtime", model: "gpt-realtime" },
});

const client = new OpenAI({ apiKey: secret.value, baseURL });
const rt = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
const told = { first: null, type: secret.session.type };
rt.on("event", (event) => (told.first ??= event.type));
rt.on("session.created", () => rt.close({ code: 1000, reason: "done" }));
rt.on("error", (error) => {
  throw error;
});
rt.socket.on("close", (close) => console.log(JSON.stringify({ ...told, close })));
