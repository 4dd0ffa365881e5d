// Run an example of the docs, as it stands there: node example.mjs CODE URL
// URL: the https URL of a relay. The example has rt, of openai-node, of a model that is refused.
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [code, secure] = process.argv.slice(2);
const client = new OpenAI({ apiKey: "anything", baseURL: `${secure}/v1` });
new Function("rt", code)(new OpenAIRealtimeWS({ model: "fault-quota" }, client));
