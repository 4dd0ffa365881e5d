/** The dashboard: shows each snapshot of the relay as it comes, and watches and ends sessions. */

import { Chart, quantile, short } from "./dashboard-charts.js";
import { watcher, watches } from "./dashboard-watch.js";

const $ = (id) => document.getElementById(id);
const MINUTE = 60;
const KEPT = 300;
const SILENCE_MS = 4000;
const AGAIN_MS = 5000;

const snapshots = [];
const charts = {
  open: new Chart($("charts"), "Open", ["sessions", "holds"], KEPT),
  messages: new Chart($("charts"), "Messages a second", ["up", "down"], KEPT),
  bytes: new Chart($("charts"), "Bytes a second", ["up", "down"], KEPT),
  refusals: new Chart($("charts"), "Refusals a second", ["all"], KEPT),
};
let silence = null;
listen();
watches();

// -- what comes -------------------------------------------------------------------------------------

function listen() {
  const source = new EventSource("events");
  source.addEventListener("message", ({ data }) => {
    clearTimeout(silence);
    silence = setTimeout(() => says("lost"), SILENCE_MS);
    shows({ at: performance.now(), ...JSON.parse(data) });
  });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return; // else it asks again by itself
    says("refused");
    setTimeout(listen, AGAIN_MS);
  });
}

const WORDS = {
  ready: "ready",
  draining: "draining: nothing new is let in",
  lost: "no answer from the relay; asking again",
  refused: "the relay does not answer, or too many watch it; asking again",
};

function says(state) {
  if ($("state").dataset.state === state) return; // it is read out at each change
  $("state").textContent = WORDS[state];
  $("state").dataset.state = state;
}

function shows(now) {
  const before = snapshots.at(-1);
  if (before && total(now.messages) < total(before.messages)) snapshots.length = 0; // another process
  snapshots.push(now);
  if (snapshots.length > MINUTE + 1) snapshots.shift();
  says(now.state);
  figures(now);
  rows($("upstreams"), now.upstreams, (each) => each.name, upstream);
  const codes = Object.entries(now.refusals).sort((a, b) => b[1] - a[1]);
  $("codes").textContent = codes.map(([code, count]) => `${code} ${count}`).join(", ") || "none";
  $("private").hidden = "open" in now;
  for (const section of document.querySelectorAll("[data-private]")) section.hidden = !("open" in now);
  if (!("open" in now)) return;
  $("more").hidden = now.open.length >= now.sessions;
  $("more").textContent = `The ${now.open.length} oldest of ${now.sessions}; /sessions has all.`;
  rows($("open"), now.open, (each) => each.id, session, tools);
  rows($("refused"), now.refused, (each) => each.number, refusal);
}

// -- figures ----------------------------------------------------------------------------------------

const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

function figures(now) {
  for (const name of ["sessions", "holds", "limit"]) $(name).textContent = now[name];
  for (const name of ["hold", "first_audio"]) $(name).textContent = percentiles(now, name);
  const { input = 0, output = 0 } = now.tokens;
  $("tokens").textContent = `${short(input)} / ${short(output)}`;
  const before = snapshots.at(-2) ?? now;
  const seconds = (now.at - before.at) / 1000 || 1;
  const rate = (name, way) => Math.max(0, now[name][way] - before[name][way]) / seconds;
  for (const name of ["messages", "bytes"]) {
    $(name).textContent = `↑ ${short(rate(name, "up"))}  ↓ ${short(rate(name, "down"))}`;
    charts[name].add(rate(name, "up"), rate(name, "down"));
  }
  charts.open.add(now.sessions, now.holds);
  charts.refusals.add((total(now.refusals) - total(before.refusals)) / seconds);
}

/** Of the last minute, as far as the page has seen it; if nothing was then, since the start. */
function percentiles(now, name) {
  const latest = now[name].map((count, number) => count - snapshots[0][name][number]);
  const isLatest = total(latest) > 0;
  const [half, most] = [0.5, 0.99].map((share) => quantile(share, isLatest ? latest : now[name], now.buckets));
  if (half === null) return "–";
  const told = (value) => (value === Infinity ? `> ${now.buckets.at(-1)}` : value.toFixed(2));
  return `${told(half)} / ${told(most)} s${isLatest ? "" : " since the start"}`;
}

// -- tables -----------------------------------------------------------------------------------------

/** One row for each item, and the same one as before for the same item: what has the focus keeps it. */
function rows(body, items, key, cells, last = null) {
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const heads = [...body.parentElement.tHead.rows[0].cells].map((cell) => cell.textContent);
  items.forEach((item, number) => {
    const id = String(key(item));
    const row = known.get(id) ?? made(id, heads, last?.(item));
    known.delete(id);
    cells(item).forEach((text, column) => {
      if (row.cells[column].textContent !== text) row.cells[column].textContent = text;
    });
    if (body.rows[number] !== row) body.insertBefore(row, body.rows[number] ?? null);
  });
  for (const row of known.values()) row.remove();
}

function made(id, heads, last) {
  const row = document.createElement("tr");
  row.dataset.key = id;
  for (const head of heads) row.insertCell().dataset.head = head;
  if (last) row.cells[heads.length - 1].append(last);
  return row;
}

const age = (seconds) => (seconds < 100 ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / 60)} min`);
const who = (each) => [each.subject, each.peer].filter(Boolean).join(", ");
const crossed = ({ messages, bytes }) => `${short(messages)}, ${short(bytes)}B`;

function upstream(each) {
  const { failure } = each;
  const told = failure ? [`${failure.code}${failure.stage ? ` at ${failure.stage}` : ""}.`, failure.cause, failure.error && `Error: ${failure.error}.`] : [];
  if (failure) told.push(`Since ${each.since}; next try in ${Math.ceil(each.next_try_seconds)} s.`);
  return [each.name, each.breaker, String(each.sessions), told.filter(Boolean).join(" ")];
}

function session(each) {
  const { input = 0, output = 0 } = each.tokens;
  const where = [age(each.seconds), who(each), each.model ?? "", each.upstream ?? "", each.state];
  return [...where, crossed(each.up), crossed(each.down), `${short(input)} / ${short(output)}`];
}

function refusal(each) {
  const where = [each.upstream, each.stage && `at ${each.stage}`].filter(Boolean).join(" ");
  const why = each.error ? `${each.detail} (${each.error})` : each.detail;
  return [age(each.seconds_ago), who(each), each.code, where, each.model ?? "", why, each.first];
}

// -- watching and ending a session ------------------------------------------------------------------

function tools(each) {
  const both = document.createElement("span");
  both.className = "tools";
  both.append(watcher(each.id, who(each)), closer(each));
  return both;
}

function closer(each) {
  const button = document.createElement("button");
  button.textContent = "Close";
  button.setAttribute("aria-label", `Close the session of ${who(each)}`);
  button.addEventListener("click", () => {
    if (confirm(`End the session of ${who(each)}?`)) closes(each.id);
  });
  return button;
}

async function closes(id) {
  const answer = await fetch(`sessions/${encodeURIComponent(id)}`, { method: "DELETE" });
  const told = answer.ok ? null : (await answer.json()).error.message;
  $("closing").textContent = told ?? `${id} is ending.`;
}
