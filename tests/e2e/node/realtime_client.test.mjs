// The browser's client, with a socket, a clock and a page of our own: node --test
import assert from "node:assert/strict";
import test from "node:test";
import {
  DEFAULTS,
  Ladder,
  Quiet,
  RealtimeConnection,
  RealtimeSocket,
  delay,
  meaning,
} from "../../../relay/web/static/realtime-client.js";

class Socket extends EventTarget {
  static all = [];
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  constructor(url, protocols) {
    super();
    Object.assign(this, { url, protocols });
    Socket.all.push(this);
  }
  send(data) {
    this.sent.push(JSON.parse(data));
  }
  says(...events) {
    this.readyState = 1;
    for (const event of events) {
      this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(event) }));
    }
  }
  ends(code, reason = "") {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
  }
  close(code) {
    this.closed = code ?? true;
  }
}

class Page extends EventTarget {
  navigator = { onLine: true };
  document = { visibilityState: "visible" };
  goes(online) {
    this.navigator.onLine = online;
    this.dispatchEvent(new Event(online ? "online" : "offline"));
  }
}

function world(options = {}) {
  Socket.all = [];
  const timers = [];
  const clock = {
    time: 0,
    now: () => clock.time,
    set: (act, ms) => timers[timers.push({ at: clock.time + ms, act }) - 1],
    clear: (timer) => timer && timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0),
    async pass(seconds) {
      const end = clock.time + seconds * 1000;
      for (;;) {
        const due = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (!due) break;
        clock.time = due.at;
        timers.splice(timers.indexOf(due), 1);
        due.act();
        await settle();
      }
      clock.time = end;
    },
  };
  const page = new Page();
  const made = { clock, page, told: [], timers };
  const all = { WebSocket: Socket, clock, page, random: () => 1, ...options };
  made.connection = new RealtimeConnection("wss://relay.test/v1/realtime?model=m", all);
  for (const name of ["state", "refused", "lost", "renewed", "step"]) {
    made.connection.addEventListener(name, ({ detail }) =>
      made.told.push(name === "state" ? detail.state : [name, detail?.code ?? detail]),
    );
  }
  return made;
}

const settle = () => new Promise((resolve) => setImmediate(resolve));
const CREATED = { type: "session.created", session: {} };
const last = () => Socket.all.at(-1);
const error = (code, more = {}) => ({
  type: "error",
  error: { type: "relay_error", code, message: code, retryable: false, ...more },
});

async function opened(options) {
  const made = world(options);
  made.connection.connect();
  await settle();
  last().says(CREATED);
  return made;
}

test("waits double up to the most, with full jitter, after what was asked for", () => {
  const waits = [0, 1, 2, 9].map((n) => delay(n, null, DEFAULTS, () => 1));
  assert.deepEqual(waits, [0.5, 1, 2, 30]);
  assert.equal(delay(3, 5, DEFAULTS, () => 0), 5);
});

for (const [end, kind, retryable] of [
  [{ code: 4401, opened: false, error: { code: "unauthorized", retryable: false } }, "refused", false],
  [{ code: 1013, opened: false, error: { code: "relay_full", retryable: true } }, "refused", true],
  [{ code: 4403, opened: false }, "refused", false],
  [{ code: 1006, opened: false }, "lost", true],
  [{ code: 1006, opened: true }, "lost", true],
  [{ code: 1012, opened: true, error: { code: "draining", retryable: true } }, "lost", true],
  [{ code: 1008, opened: true, error: { code: "expired", retryable: false } }, "lost", false],
  [{ code: 1000, opened: true }, "closed", false],
  [{ code: 1006, opened: true, asked: true }, "closed", false],
]) {
  test(`a Close of ${end.code}, ${end.error?.code ?? "without a word"}, is ${kind}`, () => {
    const found = meaning({ asked: false, ...end });
    assert.deepEqual([found.kind, found.retryable], [kind, retryable]);
  });
}

test("a session opens with its first event, and begins with the set-up", async () => {
  const setup = [{ type: "session.update", session: { instructions: "Hi." } }];
  const { connection, told } = world({ setup, credential: "ek_1" });
  connection.connect();
  await settle();
  assert.deepEqual(last().protocols.slice(0, 3), ["realtime", "relay.refusals.event", "relay.notices"]);
  assert.ok(last().protocols.includes("openai-insecure-api-key.ek_1"));
  assert.equal(connection.send({ type: "x" }), false);
  last().says(CREATED);
  assert.deepEqual(last().sent, setup);
  assert.deepEqual(told, ["connecting", "open"]);
});

test("a refusal that is final is told, and not tried again", async () => {
  const { connection, clock, told } = world();
  connection.connect();
  await settle();
  last().says(error("unauthorized"));
  last().ends(4401);
  await clock.pass(120);
  assert.equal(Socket.all.length, 1);
  assert.deepEqual(told, ["connecting", ["refused", "unauthorized"], "refused"]);
  connection.connect();
  await settle();
  assert.equal(Socket.all.length, 2, "the app may try again");
});

test("a refusal that may pass is tried again, not before the time it says", async () => {
  const { connection, clock, told } = world();
  connection.connect();
  await settle();
  last().says(error("relay_full", { retryable: true, retry_after: 5 }));
  last().ends(1013);
  await clock.pass(5.4);
  assert.equal(Socket.all.length, 1);
  await clock.pass(0.2);
  assert.equal(Socket.all.length, 2);
  assert.deepEqual(told.slice(0, 3), ["connecting", ["refused", "relay_full"], "reconnecting"]);
});

test("waits grow until an event has come that is no error", async () => {
  const { connection, clock } = world();
  connection.connect();
  const waits = [];
  for (let n = 0; n < 5; n++) {
    await settle();
    last().says(error("upstream_connect_failed", { retryable: true }));
    const count = Socket.all.length;
    last().ends(1013);
    const from = clock.time;
    while (Socket.all.length === count) await clock.pass(0.25);
    waits.push((clock.time - from) / 1000);
  }
  assert.deepEqual(waits, [0.5, 1, 2, 4, 8]);
  last().says(CREATED);
  last().ends(1006);
  await clock.pass(0.5);
  assert.equal(Socket.all.length, 7);
});

test("a session that is lost is followed by another, which is told what the app chooses", async () => {
  const items = () => [{ type: "conversation.item.create", item: { id: "i" } }];
  const setup = () => [{ type: "session.update" }];
  const { clock, told } = await opened({ setup, items });
  last().ends(1006);
  await clock.pass(1);
  last().says(CREATED);
  assert.deepEqual(last().sent.map(({ type }) => type), ["session.update", "conversation.item.create"]);
  const lost = ["lost", "close_1006"];
  const renewed = ["renewed", { items: 2 }];
  assert.deepEqual(told, ["connecting", "open", lost, "reconnecting", "reconnecting", "open", renewed].filter((each, at, all) => each !== all[at - 1]));
});

test("each connection has a credential of its own, and a failure to get one is tried again", async () => {
  const given = [() => "ek_1", () => Promise.reject(new Error("no backend")), () => "ek_2"];
  const { clock } = await opened({ credential: () => given.shift()() });
  last().ends(1011);
  await clock.pass(30);
  assert.equal(Socket.all.length, 2);
  assert.ok(last().protocols.includes("openai-insecure-api-key.ek_2"));
});

test("without a network nothing is tried until it is back", async () => {
  const { page, clock, told } = await opened();
  page.goes(false);
  last().ends(1006);
  await clock.pass(300);
  assert.equal(Socket.all.length, 1);
  assert.equal(told.at(-1), "offline");
  page.goes(true);
  await settle();
  assert.equal(Socket.all.length, 2);
});

test("a page that is looked at again does not wait", async () => {
  const { page, clock } = await opened({ backoffBase: 100, backoffMost: 100 });
  last().ends(1006);
  await clock.pass(1);
  page.dispatchEvent(new Event("visibilitychange"));
  await settle();
  assert.equal(Socket.all.length, 2);
});

test("what does not get away is noticed: first degraded, then lost", async () => {
  const { clock, told } = await opened();
  last().bufferedAmount = 5000;
  await clock.pass(3);
  assert.equal(told.at(-1), "degraded");
  last().bufferedAmount = 0;
  await clock.pass(1);
  assert.equal(told.at(-1), "open");
  last().bufferedAmount = 5000;
  await clock.pass(11.5);
  assert.ok(told.some((each) => Array.isArray(each) && each[0] === "lost"));
  await clock.pass(2);
  assert.equal(Socket.all.length, 2);
});

test("an answer that takes long is noticed, and sound wants none", async () => {
  const { connection, clock, told } = await opened();
  connection.send({ type: "input_audio_buffer.append", audio: "AAAA" });
  await clock.pass(5);
  assert.equal(told.at(-1), "open");
  connection.send({ type: "response.create" });
  await clock.pass(1);
  connection.send({ type: "conversation.item.create" });
  await clock.pass(1.5);
  assert.equal(told.at(-1), "degraded");
  last().says({ type: "response.created" });
  await clock.pass(1);
  assert.equal(told.at(-1), "open");
});

test("a connection that says nothing is given up", async () => {
  const { connection, clock } = world({ firstEvent: 5 });
  connection.connect();
  await settle();
  await clock.pass(6);
  assert.equal(Socket.all[0].closed, true);
  assert.equal(Socket.all.length, 2);
});

test("the ladder goes down after repeated trouble, and up after a steady time", () => {
  const ladder = new Ladder(["audio", "text", "form"]);
  assert.deepEqual([ladder.trouble(0), ladder.trouble(1000), ladder.step], [false, true, "text"]);
  assert.deepEqual([ladder.trouble(2000), ladder.trouble(70_000), ladder.step], [false, false, "text"]);
  assert.equal(ladder.trouble(71_000), true);
  assert.equal(ladder.trouble(72_000), false, "there is no step below");
  assert.deepEqual([ladder.steady(100_000), ladder.steady(133_000), ladder.step], [false, true, "text"]);
  assert.deepEqual([ladder.steady(140_000), ladder.steady(194_000), ladder.step], [false, true, "audio"]);
  assert.equal(ladder.steady(1e9), false);
});

test("steps are told", async () => {
  const { clock, told } = await opened({ ladder: ["audio", "text"] });
  for (let n = 0; n < 2; n++) {
    last().ends(1006);
    await clock.pass(1);
    last().says(CREATED);
  }
  assert.deepEqual(told.filter(([name]) => name === "step"), [["step", "text"]]);
  await clock.pass(61);
  assert.deepEqual(told.filter(([name]) => name === "step").at(-1), ["step", "audio"]);
});

test("a turn is quiet before and after, and not within", () => {
  const quiet = new Quiet();
  const heard = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "response.created", "response.done"];
  const found = heard.map((type) => (quiet.hears({ type }), quiet.now));
  assert.deepEqual(found, [false, true, false, true]);
});

test("before a drain the next session is open, between two turns, before the last one closes", async () => {
  const { told } = await opened();
  const old = last();
  old.says({ type: "response.created" }, { type: "relay.draining", seconds: 20 });
  await settle();
  assert.equal(Socket.all.length, 1, "not within a response");
  old.says({ type: "response.done" });
  await settle();
  assert.equal(Socket.all.length, 2);
  assert.equal(old.closed, undefined);
  old.says({ type: "response.created" });
  last().says(CREATED);
  assert.equal(old.closed, 1000);
  old.ends(1000);
  assert.deepEqual(told, ["connecting", "open", ["renewed", { items: 0 }]]);
});

test("if the next session is refused, the one that goes on goes on", async () => {
  const { connection, told } = await opened();
  const old = last();
  old.says({ type: "relay.expiring", seconds: 60 });
  await settle();
  last().says(error("relay_full", { retryable: true }));
  last().ends(1013);
  assert.equal(connection.send({ type: "x" }), true);
  assert.deepEqual(old.sent, [{ type: "x" }]);
  assert.deepEqual(told, ["connecting", "open"]);
});

test("if the session ends while the next one is under way, there is no third", async () => {
  const { clock, told } = await opened();
  const old = last();
  old.says({ type: "relay.expiring", seconds: 60 });
  await settle();
  old.ends(1012);
  await clock.pass(0.1);
  last().says(CREATED);
  await clock.pass(19);
  assert.equal(Socket.all.length, 2);
  assert.deepEqual(told, ["connecting", "open", "reconnecting", "open", ["renewed", { items: 0 }]]);
});

test("the app's own close is the end, also while a credential is awaited", async () => {
  let give;
  const { connection, clock, timers, told } = world({ credential: () => new Promise((r) => (give = r)) });
  connection.connect();
  await settle();
  connection.close();
  give("ek_1");
  await clock.pass(60);
  assert.deepEqual([Socket.all.length, timers.length], [0, 0]);
  assert.deepEqual(told, ["connecting", "closed"]);
});

test("an app that closes at once, as a component in React's StrictMode does, opens nothing", async () => {
  const { connection, clock } = world();
  connection.connect().close();
  await settle();
  assert.equal(Socket.all.length, 0);
  connection.connect();
  await clock.pass(60);
  assert.equal(Socket.all.length, 1);
});

test("in place of a WebSocket it opens once, and closes for good", async () => {
  const { clock, page } = world();
  const all = { WebSocket: Socket, clock, page, random: () => 1 };
  const socket = new RealtimeSocket("wss://relay.test", all);
  const heard = [];
  socket.onmessage = ({ data }) => heard.push(JSON.parse(data).type);
  for (const name of ["open", "error", "close"]) socket.addEventListener(name, () => heard.push(name));
  await settle();
  last().says(CREATED);
  last().ends(1006);
  await clock.pass(1);
  last().says(CREATED);
  socket.send('{"type":"x"}');
  assert.deepEqual(last().sent, [{ type: "x" }]);
  last().says(error("expired", { close: { code: 1008, reason: "" } }));
  let end;
  socket.onclose = (event) => (end = event.code);
  last().ends(1008);
  assert.deepEqual(heard, ["open", "session.created", "session.created", "error", "close"]);
  assert.deepEqual([end, socket.readyState], [1008, RealtimeSocket.CLOSED]);
});
