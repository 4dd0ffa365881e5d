/** The console: talk with a session, and see what happens to it. */

import { Speaker, Wave, clip, decode, encode, microphone } from "./console-audio.js";
import { closed, shown } from "./console-bare.js";
import { RealtimeConnection } from "./realtime-client.js";

const $ = (id) => document.getElementById(id);
const MOST_ROWS = 500;
const TODO = { true: "Try again later: this may pass.", false: "Trying again will not help." };

const about = await (await fetch("console.json")).json();
const base = new URL(".", location.href);
const events = [];
const turns = [];
let connection = null;
let audio = null;
let speaker = null;
let mute = null;
let asked = null;
let compared = false;
const waves = { up: new Wave($("mine")), down: new Wave($("theirs")) };

for (const { name, text } of [{ name: about.model, text: "A session that works." }, ...about.faults]) {
  $("model").append(Object.assign(new Option(name, name), { title: text }));
}
$("credential-label").hidden = about.demo;
choose();
snippets();

// -- the session ------------------------------------------------------------------------------------

function choose() {
  const option = $("model").selectedOptions[0];
  $("number-label").hidden = !/N$|CODE$/.test(option.value);
  $("about").textContent = option.title;
}

function model() {
  return $("model").value.replace(/N$|CODE$/, $("number").value);
}

function url() {
  const made = new URL(`v1/realtime?model=${encodeURIComponent(model())}`, base);
  made.protocol = made.protocol.replace("http", "ws");
  return made;
}

function start(submitted) {
  submitted.preventDefault();
  connection?.close();
  audio ??= new AudioContext({ sampleRate: 24_000 });
  speaker ??= new Speaker(audio);
  audio.resume();
  $("why").hidden = true;
  compared = false;
  connection = new RealtimeConnection(url(), { credential: $("credential").value || null });
  connection.addEventListener("state", ({ detail }) => becomes(detail));
  connection.addEventListener("event", ({ detail }) => hears(detail));
  for (const name of ["refused", "lost"]) {
    connection.addEventListener(name, ({ detail }) => explains(name, detail));
  }
  connection.connect();
}

function stop() {
  connection?.close();
}

function send(event) {
  if (connection?.send(event)) notes("up", event);
}

function becomes({ state, retryIn }) {
  const more = retryIn === undefined ? "" : `, trying again in ${retryIn.toFixed(1)} s`;
  $("state").textContent = state + more;
  $("state").dataset.state = state;
  const isOpen = state === "open" || state === "degraded";
  for (const id of ["microphone", "clip", "send"]) $(id).disabled = !isOpen;
  $("stop").disabled = state === "closed" || state === "refused";
  if (!isOpen) silence();
}

function explains(kind, error) {
  $("message").textContent = error.message ?? "The connection was lost.";
  $("todo").textContent = TODO[error.retryable ?? true];
  $("code").textContent = error.code ?? "";
  $("request").textContent = error.request_id ? `in the log by ${error.request_id}` : "";
  $("why").hidden = false;
  if (kind !== "said" && !compared) compares(kind, error.close);
}

/** Once for each press of Connect, because it asks the service again. */
async function compares(kind, close) {
  compared = true;
  const about = connection;
  const tell = (id, told) => (about === connection ? ($(id).textContent = told) : null);
  tell("bare", "asking…");
  // No session is there, so the relay answers this one by a status, whoever asks.
  shown(new URL("healthz", connection.url)).then((told) => tell("status", told));
  if (kind === "refused") tell("bare", await shown(connection.url, $("credential").value));
  else tell("bare", close ? `open, then ${closed(close.code, close.reason)}` : "");
}

function hears(event) {
  notes("down", event);
  const { type } = event;
  if (type === "response.output_audio.delta") {
    const samples = decode(event.delta);
    speaker.play(samples);
    waves.down.add(samples);
    if (asked !== null) turn(performance.now() - asked);
    asked = null;
  } else if (type === "input_audio_buffer.speech_started") {
    speaker.hush();
  } else if (type === "input_audio_buffer.speech_stopped") {
    asked = performance.now();
  } else if (type === "response.output_audio_transcript.done") {
    says("it", event.transcript);
  } else if (type === "response.output_text.done") {
    says("it", event.text);
  } else if (type === "conversation.item.input_audio_transcription.completed") {
    says("you", event.transcript);
  } else if (type === "error") {
    explains("said", event.error);
  }
}

function turn(milliseconds) {
  turns.push(Math.round(milliseconds));
  $("turns").textContent = `First audio, turn by turn, after ${turns.join(", ")} ms.`;
}

function says(who, text) {
  $("transcript").append(Object.assign(document.createElement("li"), { textContent: `${who}: ${text}` }));
}

// -- what is said to it -----------------------------------------------------------------------------

function gives(samples) {
  waves.up.add(samples);
  send({ type: "input_audio_buffer.append", audio: encode(samples) });
}

async function listen() {
  if (mute !== null) {
    silence();
    return;
  }
  try {
    mute = await microphone(audio, gives);
    $("microphone").setAttribute("aria-pressed", "true");
  } catch (error) {
    explains("said", { message: `The browser gives no microphone: ${error.message}`, retryable: true });
  }
}

function silence() {
  mute?.();
  mute = null;
  $("microphone").setAttribute("aria-pressed", "false");
}

function plays() {
  const samples = clip();
  for (let at = 0; at < samples.length; at += 2400) gives(samples.slice(at, at + 2400));
  send({ type: "input_audio_buffer.commit" });
  send({ type: "response.create" });
  asked = performance.now();
}

function writes(submitted) {
  submitted.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  const content = [{ type: "input_text", text }];
  send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  send({ type: "response.create" });
  says("you", text);
  asked = performance.now();
  $("text").value = "";
}

// -- the timeline -----------------------------------------------------------------------------------

function notes(dir, event) {
  const at = performance.now() / 1000;
  const bytes = JSON.stringify(event).length;
  events.push({ at: Number(at.toFixed(3)), dir, bytes, event });
  if (fits(event.type)) row(events.at(-1));
}

function fits(type) {
  return type.includes($("filter").value.trim());
}

function row({ at, dir, bytes, event }) {
  const made = document.createElement("tr");
  made.dataset.dir = dir;
  const name = Object.assign(document.createElement("button"), { type: "button", textContent: event.type });
  name.onclick = () => inspects(event);
  for (const cell of [at.toFixed(2), dir === "up" ? "→" : "←", name, bytes]) {
    const made_ = document.createElement("td");
    made_.append(cell);
    made.append(made_);
  }
  $("timeline").prepend(made);
  while ($("timeline").rows.length > MOST_ROWS) $("timeline").lastChild.remove();
}

function inspects(event) {
  $("inspect").textContent = JSON.stringify(event, null, 2);
  $("inspect").hidden = false;
}

function filters() {
  $("timeline").replaceChildren();
  for (const each of events.slice(-MOST_ROWS)) if (fits(each.event.type)) row(each);
}

function exports() {
  const lines = events.map((each) => `${JSON.stringify(each)}\n`);
  const file = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
  Object.assign(document.createElement("a"), { href: file, download: "session.jsonl" }).click();
  URL.revokeObjectURL(file);
}

// -- how to use it ----------------------------------------------------------------------------------

function snippets() {
  const http = String(new URL("v1", base));
  const secure = about.demo ? "https://localhost:8443/v1" : http.replace("http:", "https:");
  const trust = about.demo ? ", and trusts whom NODE_EXTRA_CA_CERTS names: see the relay's log" : "";
  const key = (named) => (about.demo ? '"anything"' : named);
  const secret = about.demo ? "null" : 'async () => (await fetch("/secret", { method: "POST" })).text()';
  $("python").textContent = `import asyncio
${about.demo ? "" : "import os\n"}
from openai import AsyncOpenAI


async def main():
    client = AsyncOpenAI(base_url="${http}", api_key=${key('os.environ["RELAY_KEY"]')})
    async with client.realtime.connect(model="${about.model}") as connection:
        print(await connection.recv())


asyncio.run(main())`;
  $("node").textContent = `import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws"; // it opens only wss:${trust}

const client = new OpenAI({ baseURL: "${secure}", apiKey: ${key("process.env.RELAY_KEY")} });
const realtime = new OpenAIRealtimeWS({ model: "${about.model}" }, client);
realtime.on("event", (event) => console.log(event.type));
realtime.on("error", (error) => console.log(error.message));
`;
  $("browser").textContent = `import { RealtimeConnection } from "${new URL("realtime-client.js", base)}";

const connection = new RealtimeConnection("${url()}", { credential: ${secret} });
connection.addEventListener("event", ({ detail }) => console.log(detail.type));
connection.addEventListener("state", ({ detail }) => console.log(detail.state, detail.error?.message));
connection.connect();`;
  $("react").textContent = `import { useEffect, useState } from "react";
import { RealtimeConnection } from "./realtime-client.js"; // a copy of this relay's

export function useRealtime(url, credential) {
  const [state, setState] = useState("closed");
  useEffect(() => {
    const connection = new RealtimeConnection(url, { credential });
    connection.addEventListener("state", ({ detail }) => setState(detail.state));
    connection.connect();
    return () => connection.close();
  }, [url, credential]);
  return state;
}`;
}

$("connect").addEventListener("submit", start);
$("stop").addEventListener("click", stop);
$("model").addEventListener("change", choose);
$("microphone").addEventListener("click", listen);
$("clip").addEventListener("click", plays);
$("say").addEventListener("submit", writes);
$("filter").addEventListener("input", filters);
$("export").addEventListener("click", exports);
