// What an error event does to an app: node listenerless.mjs BASE_URL [listens]
// The session is closed with 1011 at its first message. Prints the close code, if it gets so far.
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [baseURL, listens] = process.argv.slice(2);
const client = new OpenAI({ apiKey: "anything", baseURL });
const rt = new OpenAIRealtimeWS({ model: "fault-close-1011" }, client);
if (listens) rt.on("error", (error) => console.log(error.message));
rt.on("session.created", () => rt.send({ type: "input_audio_buffer.clear" }));
rt.socket.on("close", (code) => setTimeout(() => console.log(code), 100));
