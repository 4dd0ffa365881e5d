/** Watches one session: its events as they cross, the last one first. */

import { short } from "./dashboard-charts.js";

const $ = (id) => document.getElementById(id);
const KEPT = 1000;
const SHOWN = 200;

const ARROWS = { client: ["↑", "from the client"], upstream: ["↓", "from the upstream"], relay: ["•", "from the relay"] };
const ENDED = { client: "the client", upstream: "the upstream", relay: "the relay" };

let source = null;
let id = null;
let events = []; // the last one first
let told = { events: 0, missed: 0 };
let frame = null;

const link = (of) => `#watch=${encodeURIComponent(of)}`;

/** A link that watches a session. */
export function watcher(of, who) {
  const anchor = document.createElement("a");
  anchor.href = link(of);
  anchor.textContent = "Watch";
  anchor.setAttribute("aria-label", `Watch the session of ${who}`);
  marks(anchor);
  return anchor;
}

/** Whether it is the link of the session that is watched. */
function marks(anchor) {
  anchor.toggleAttribute("aria-current", id !== null && anchor.getAttribute("href") === link(id));
}

/** Has the address of the page say which session is watched, so that it can be kept and sent. */
export function watches() {
  $("watch-tools").addEventListener("submit", (event) => event.preventDefault());
  $("watch-filter").addEventListener("input", draw);
  $("watch-pause").addEventListener("click", () => pauses(!isPaused()));
  $("watch-clear").addEventListener("click", clear);
  $("watch-close").addEventListener("click", stops);
  window.addEventListener("hashchange", follow);
  follow();
}

function follow() {
  const asked = new URLSearchParams(location.hash.slice(1)).get("watch");
  const before = id;
  source?.close();
  id = asked;
  $("watch").hidden = !id;
  document.querySelectorAll("#open a").forEach(marks);
  if (!id) return back(before);
  $("watch-title").textContent = `Watching ${id}`;
  $("watch-filter").value = "";
  pauses(false);
  clear();
  listen();
  $("watch-title").focus();
}

function stops() {
  history.pushState(null, "", location.pathname + location.search); // an empty hash would scroll to the top
  follow();
}

/** The focus goes back to where it came from, if that is still there. */
function back(before) {
  if (before) document.querySelector(`a[href="${link(before)}"]`)?.focus();
}

// -- what comes -------------------------------------------------------------------------------------

function listen() {
  says("connecting");
  const own = new EventSource(`sessions/${encodeURIComponent(id)}/events`);
  source = own;
  own.addEventListener("message", ({ data }) => own === source && takes(JSON.parse(data)));
  own.addEventListener("error", () => {
    if (own !== source) return;
    if (own.readyState === EventSource.CLOSED) refused();
    else says("The connection to the relay was lost; asking again.");
  });
}

/** What the relay says of the session that is watched; null if another one is by now. */
async function about() {
  const asked = id;
  const answer = await fetch(`sessions/${encodeURIComponent(asked)}`);
  const told = await answer.json();
  return asked === id ? told : null;
}

/** An EventSource does not tell why it was refused. */
async function refused() {
  const told = await about();
  if (told) says(told.error?.message ?? "As many watch already as may at once; close another dashboard.");
}

async function names() {
  const { model, subject, peer } = (await about()) ?? {};
  const words = [model, subject, peer].filter(Boolean).join(", ");
  if (words) $("watch-title").textContent = `Watching ${words} (${id})`;
}

function takes(event) {
  if ("watch" in event) {
    names();
    says(event.watch === "payload" ? "Watching types and payloads." : "Watching types.");
  } else if ("closed" in event) {
    source.close();
    const { code, by, seconds } = event.closed;
    const after = seconds === null ? "" : ` after ${Math.round(seconds)} s`;
    says(`The session is over: ${ENDED[by]} ended it with ${code ?? "no close code"}${after}.`);
  } else if ("missed" in event) {
    told.missed += event.missed;
    later();
  } else {
    told.events += 1;
    events.unshift(event);
    if (events.length > KEPT) events.length = KEPT;
    later();
  }
}

function says(text) {
  $("watch-state").textContent = text;
}

// -- what is seen -----------------------------------------------------------------------------------

const isPaused = () => $("watch-pause").getAttribute("aria-pressed") === "true";

/** What comes meanwhile is kept, as far as there is room, and counted. */
function pauses(paused) {
  $("watch-pause").setAttribute("aria-pressed", String(paused));
  $("watch-pause").textContent = paused ? "Go on" : "Pause";
  if (!paused) draw();
}

function clear() {
  events = [];
  told = { events: 0, missed: 0 };
  draw();
}

/** Draws once a frame, however many events come. */
function later() {
  counts();
  frame ??= requestAnimationFrame(() => {
    frame = null;
    if (!isPaused()) draw();
  });
}

function counts() {
  const missed = told.missed ? `, and ${told.missed} missed, because there were too many at once` : "";
  $("watch-count").textContent = `${told.events} events${missed}.`;
}

function draw() {
  counts();
  const wanted = $("watch-filter").value.trim().toLowerCase();
  const fitting = events.filter((event) => (event.type ?? "").toLowerCase().includes(wanted)).slice(0, SHOWN);
  const known = new Map([...$("watch-events").children].map((item) => [item.event, item]));
  const items = fitting.map((event) => known.get(event) ?? made(event));
  const kept = new Set(items);
  for (const item of known.values()) if (!kept.has(item)) item.remove();
  items.forEach((item, number) => {
    const there = $("watch-events").children[number];
    if (there !== item) $("watch-events").insertBefore(item, there ?? null);
  });
}

function made(event) {
  const item = document.createElement("li");
  item.event = event;
  const [arrow, from] = ARROWS[event.from];
  const sign = part("from", arrow);
  sign.setAttribute("role", "img");
  sign.setAttribute("aria-label", from);
  item.append(part("at", event.at.toFixed(3)), sign, type(event.type ?? "no type"), part("size", `${short(event.bytes)}B`));
  if ("payload" in event) item.append(payload(event));
  return item;
}

/** A long one is broken behind its dots. */
function type(text) {
  const span = part("type", "");
  for (const word of text.split(/(?<=[._])/)) span.append(word, document.createElement("wbr"));
  return span;
}

function part(name, text) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

function payload(event) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = event.cut ? "payload, cut" : "payload";
  const text = document.createElement("pre");
  text.textContent = event.payload ?? "no text";
  details.append(summary, text);
  return details;
}
