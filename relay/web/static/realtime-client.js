/**
 * A Realtime session that notices when something is wrong, says what, and comes back.
 *
 * One ES module for browsers, and for Node 22 and newer, without dependencies. It works with
 * realtime-relay, and without it with a service that speaks OpenAI's Realtime events.
 */

/** What services answer at once, so that the time until then is the network's. */
const ANSWERED =
  /"(session\.update|conversation\.item\.(create|delete|retrieve|truncate)|response\.create|input_audio_buffer\.(commit|clear))"/;
const PROTOCOLS = ["realtime", "relay.refusals.event", "relay.notices"];
const KEY = "openai-insecure-api-key.";
const QUIET = 4000; // a Close of 4000 and more is a refusal: 4000 and the HTTP status
const RETRIED = new Set([1001, 1005, 1006, 1011, 1012, 1013, 1014]);

/** Seconds, but for the counts. */
export const DEFAULTS = {
  firstEvent: 20, // to wait for a session's first event
  backoffBase: 0.5,
  backoffMost: 30,
  stall: 10, // that what was sent may wait before the connection counts as lost
  slow: 2, // that it, or its answer, may wait before the connection counts as degraded
  steady: 60, // without trouble, until the next step up the ladder
  losses: 2, // of connections, within `steady`, until the next step down
  look: 0.5, // between two looks at what waits
};

// Browsers call timers only as functions of the window.
const CLOCK = {
  now: () => performance.now(),
  set: (act, ms) => setTimeout(act, ms),
  clear: (timer) => clearTimeout(timer),
};

/**
 * Seconds to wait before the next try: full jitter, or as long as the other side has asked for.
 *
 * @param {number} attempt 0 for the first
 * @param {number | null | undefined} asked seconds
 * @param {() => number} random 0 to 1
 */
export function delay(attempt, asked, options = DEFAULTS, random = Math.random) {
  const most = Math.min(options.backoffMost, options.backoffBase * 2 ** attempt);
  return (asked ?? 0) + random() * most;
}

/**
 * What the end of a connection means.
 *
 * @param {{code: number, reason?: string, error?: object | null, opened: boolean, asked: boolean}}
 *   end `error`: the relay's last error event; `opened`: whether an event other than an error had
 *   come; `asked`: whether the app closed it.
 * @returns {{kind: "refused" | "lost" | "closed", retryable: boolean, after: number | null,
 *   error: object}}
 */
export function meaning({ code, reason = "", error = null, opened, asked }) {
  const said = error ?? { code: `close_${code}`, message: reason || `The connection ended (${code}).` };
  const told = { ...said, close: { code, reason } };
  const after = typeof told.retry_after === "number" ? told.retry_after : null;
  if (asked) return { kind: "closed", retryable: false, after: null, error: told };
  const retryable = error?.retryable ?? (code < QUIET && RETRIED.has(code));
  // Without a word before the first event nobody refused anything: the network did not carry it.
  if (!opened && (error !== null || code >= QUIET)) return { kind: "refused", retryable, after, error: told };
  if (code === 1000 && error === null) return { kind: "closed", retryable: false, after: null, error: told };
  return { kind: "lost", retryable, after, error: told };
}

/**
 * The ladder of degradation: a step down after repeated trouble, a step up after a steady time.
 *
 * Times are milliseconds of any one clock.
 */
export class Ladder {
  /** @param {string[]} steps the best first */
  constructor(steps, options = DEFAULTS) {
    this.steps = steps.length ? steps : ["audio"];
    this.at = 0;
    this.options = options;
    this.troubles = [];
    this.since = -Infinity;
  }

  get step() {
    return this.steps[this.at];
  }

  /** @returns {boolean} whether the step changed */
  trouble(now) {
    const recent = now - this.options.steady * 1000;
    this.troubles = [...this.troubles.filter((at) => at > recent), now];
    this.since = now;
    if (this.troubles.length < this.options.losses || this.at === this.steps.length - 1) return false;
    this.troubles = [];
    this.at += 1;
    return true;
  }

  /** @returns {boolean} whether the step changed */
  steady(now) {
    if (this.at === 0 || now - this.since < this.options.steady * 1000) return false;
    this.since = now;
    this.at -= 1;
    return true;
  }
}

/** Whether nobody speaks and no answer is under way, so that a session may be changed for another. */
export class Quiet {
  responding = false;
  speaking = false;

  /** @param {{type: string}} event of the service */
  hears({ type }) {
    if (type === "response.created") this.responding = true;
    if (type === "response.done") this.responding = false;
    if (type === "input_audio_buffer.speech_started") this.speaking = true;
    if (type === "input_audio_buffer.speech_stopped") this.speaking = false;
  }

  get now() {
    return !this.responding && !this.speaking;
  }
}

/**
 * A session that is kept up. Events: `state` (detail: state, error, retryIn), `event` (the
 * service's), `refused`, `lost`, `renewed` (another session has begun: it knows nothing of the one
 * before; what `items` gave was sent again), `step` (of the ladder).
 */
export class RealtimeConnection extends EventTarget {
  /**
   * @param {string | URL} url wss://HOST/v1/realtime?model=NAME
   * @param {object} options
   *   credential: a secret, or a function that gives one, also asynchronously; called for each
   *   connection. setup: events to send first in each session, or a function. items: a function
   *   that gives what a new session shall know of the conversation. ladder: the steps, best first.
   *   protocols: more subprotocols. Any of DEFAULTS. For tests: WebSocket, clock, random, page.
   */
  constructor(url, options = {}) {
    super();
    this.url = String(url);
    this.options = { ...DEFAULTS, ...options };
    this.state = "closed";
    this.ladder = new Ladder(options.ladder ?? [], this.options);
    this.clock = options.clock ?? CLOCK;
    this.page = options.page ?? globalThis;
    this.socket = null;
    this.sessions = 0;
    this.attempt = 0;
    this.timers = {};
    this.wake = () => this.#wake();
  }

  /** Begin. */
  connect() {
    if (this.state !== "closed" && this.state !== "refused") return this;
    for (const name of ["online", "offline", "visibilitychange"]) this.page.addEventListener?.(name, this.wake);
    this.attempt = 0;
    this.#dial("connecting");
    return this;
  }

  /**
   * Send an event to the service.
   *
   * @returns {boolean} whether there is a session to send it in; nothing is kept for later, because
   *   a later session would not know what it is about
   */
  send(event) {
    if (!this.socket?.opened || this.socket.ws.readyState !== 1) return false;
    const text = typeof event === "string" ? event : JSON.stringify(event);
    this.socket.ws.send(text);
    if (ANSWERED.test(text)) this.socket.asked ??= this.clock.now();
    return true;
  }

  /** End the session, and do not come back. */
  close(code = 1000, reason = "") {
    this.#forget();
    const { socket, next } = this;
    this.socket = this.next = null;
    for (const each of [socket, next]) each?.ws?.close(code, reason);
    this.#become("closed", { error: { code: `close_${code}`, message: reason } });
  }

  #forget() {
    for (const name of Object.keys(this.timers)) this.#clear(name);
    for (const name of ["online", "offline", "visibilitychange"]) this.page.removeEventListener?.(name, this.wake);
  }

  #set(name, seconds, act) {
    this.#clear(name);
    this.timers[name] = this.clock.set(() => act.call(this), seconds * 1000);
  }

  #clear(name) {
    if (name in this.timers) this.clock.clear(this.timers[name]);
    delete this.timers[name];
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #become(state, detail = {}) {
    if (state === this.state && !detail.error) return;
    this.state = state;
    this.#tell("state", { state, ...detail });
  }

  // -- connections ------------------------------------------------------------------------------

  /** @param {string | null} state null: beside the session that goes on */
  async #dial(state) {
    const slot = { ws: null, opened: false, error: null, gone: false, asked: null };
    if (state === null) {
      this.next = slot;
    } else {
      this.socket = slot;
      this.#clear("retry");
      this.#become(state);
    }
    let credential;
    try {
      const given = this.options.credential;
      // Awaited in any case: an app that connects and closes at once, as React does in its StrictMode,
      // opens no WebSocket.
      credential = await (typeof given === "function" ? given() : given);
    } catch (error) {
      this.#ended(slot, { code: 1006, reason: `No credential: ${error?.message ?? error}` });
      return;
    }
    if (this.socket !== slot && this.next !== slot) return; // closed meanwhile
    const more = credential ? [KEY + credential] : [];
    const protocols = [...PROTOCOLS, ...(this.options.protocols ?? []), ...more];
    const WebSocket = this.options.WebSocket ?? globalThis.WebSocket;
    try {
      slot.ws = new WebSocket(this.url, protocols);
    } catch (error) {
      this.#ended(slot, { code: 1006, reason: String(error?.message ?? error) });
      return;
    }
    slot.ws.addEventListener("message", ({ data }) => this.#hears(slot, data));
    slot.ws.addEventListener("close", (end) => this.#ended(slot, end));
    slot.timer = this.clock.set(() => this.#drop(slot, "No first event came in time."), this.options.firstEvent * 1000);
  }

  #drop(slot, reason) {
    slot.ws?.close();
    this.#ended(slot, { code: 1006, reason });
  }

  #hears(slot, data) {
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return; // nothing of the Realtime API
    }
    if (slot.gone) return;
    slot.asked = null;
    if (event.type === "error" && event.error?.type === "relay_error") slot.error = event.error;
    if (event.type === "error" && !slot.opened) slot.error ??= event.error ?? null;
    if (event.type !== "error" && !slot.opened) this.#opens(slot);
    if (slot === this.next) return;
    slot.quiet?.hears(event);
    this.#tell("event", event);
    this.dispatchEvent(new MessageEvent("message", { data }));
    if (event.type === "relay.expiring" || event.type === "relay.draining") this.leaving = true;
    if (this.leaving && slot.quiet?.now) this.#renew();
  }

  #opens(slot) {
    slot.opened = true;
    slot.quiet = new Quiet();
    this.clock.clear(slot.timer);
    this.attempt = 0;
    const old = slot === this.next ? this.socket : null;
    if (old) [this.socket, this.next] = [slot, null];
    const again = this.sessions++ > 0;
    const given = [this.options.setup, again ? this.options.items : null];
    const events = given.flatMap((each) => (typeof each === "function" ? each() : each) ?? []);
    for (const event of events) this.send(event);
    if (old) {
      old.gone = true;
      old.ws.close(1000);
    }
    this.#become("open");
    if (again) this.#tell("renewed", { items: events.length });
    this.waits = null;
    this.#set("look", this.options.look, this.#look);
  }

  /** Open the next session while this one goes on. */
  #renew() {
    this.leaving = false;
    if (!this.next) this.#dial(null);
  }

  #ended(slot, { code, reason }) {
    if (slot.gone) return;
    slot.gone = true;
    this.clock.clear(slot.timer);
    if (slot === this.next) {
      this.next = null; // the session that goes on will end, and be followed by another
      return;
    }
    if (slot !== this.socket) return;
    this.#clear("look");
    this.socket = this.next ?? null;
    this.next = null;
    if (this.socket) {
      this.#become("reconnecting", { error: slot.error ?? undefined }); // it is under way already
      return;
    }
    const end = meaning({ code, reason, error: slot.error, opened: slot.opened, asked: false });
    if (end.kind === "closed" || (end.kind === "refused" && !end.retryable)) {
      this.#forget();
      if (end.kind === "refused") this.#tell("refused", end.error);
      this.#become(end.kind, { error: end.error });
      return;
    }
    this.#tell(end.kind, end.error);
    if (!end.retryable) {
      this.#forget();
      this.#become("closed", { error: end.error });
      return;
    }
    if (slot.opened && this.ladder.trouble(this.clock.now())) this.#tell("step", this.ladder.step);
    this.#retry(end);
  }

  #retry({ after, error }) {
    if (this.page.navigator?.onLine === false) {
      this.#become("offline", { error });
      return;
    }
    const retryIn = delay(this.attempt++, after, this.options, this.options.random);
    this.#become("reconnecting", { error, retryIn });
    this.#set("retry", retryIn, () => this.#dial("reconnecting"));
  }

  // -- the network and the page -----------------------------------------------------------------

  #wake() {
    const away = this.page.navigator?.onLine === false;
    if (away && this.socket === null) this.#become("offline");
    if (away || this.socket !== null) return;
    if (this.state === "offline" || this.page.document?.visibilityState !== "hidden") this.#now();
  }

  /** Try at once, rather than when the wait is over. */
  #now() {
    if (this.state !== "offline" && this.state !== "reconnecting") return;
    this.#dial("reconnecting");
  }

  /** Look whether what was sent gets away. The network may be gone without a word. */
  #look() {
    this.#set("look", this.options.look, this.#look);
    const now = this.clock.now();
    const waiting = this.socket.ws.bufferedAmount;
    if (!waiting) this.waits = null;
    else if (!this.waits || waiting < this.waits.bytes) this.waits = { bytes: waiting, since: now };
    const seconds = this.waits ? (now - this.waits.since) / 1000 : 0;
    const trip = this.socket.asked === null ? 0 : (now - this.socket.asked) / 1000;
    if (seconds >= this.options.stall) {
      this.#drop(this.socket, "What was sent does not get away.");
      return;
    }
    const isSlow = Math.max(seconds, trip) >= this.options.slow;
    if (isSlow && this.state === "open") {
      this.#become("degraded");
      if (this.ladder.trouble(now)) this.#tell("step", this.ladder.step);
    }
    if (!waiting && !isSlow && this.state === "degraded") this.#become("open");
    if (!waiting && !isSlow && this.ladder.steady(now)) this.#tell("step", this.ladder.step);
  }
}

/**
 * The same as a `WebSocket`, for an SDK that makes its own protocol of one, such as the agents SDK.
 * It opens once, and closes when the connection is closed or refused for good. What comes in
 * between is told by events of `connection`.
 */
export class RealtimeSocket extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  readyState = 0;
  binaryType = "blob";
  bufferedAmount = 0;
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;

  constructor(url, options = {}) {
    super();
    this.url = String(url);
    this.connection = new RealtimeConnection(url, options);
    this.connection.addEventListener("state", ({ detail }) => this.#changes(detail));
    this.connection.addEventListener("message", ({ data }) => this.#tell("message", new MessageEvent("message", { data })));
    this.connection.connect();
  }

  send(data) {
    this.connection.send(data);
  }

  close(code = 1000, reason = "") {
    this.connection.close(code, reason);
  }

  #changes({ state, error }) {
    if (state === "open" && this.readyState === 0) {
      this.readyState = 1;
      this.#tell("open", new Event("open"));
    }
    if (state !== "closed" && state !== "refused") return;
    this.readyState = 3;
    if (state === "refused") this.#tell("error", Object.assign(new Event("error"), { error }));
    const end = { code: error?.close?.code ?? 1000, reason: error?.message ?? "", wasClean: state === "closed" };
    this.#tell("close", Object.assign(new Event("close"), end));
  }

  #tell(name, event) {
    this[`on${name}`]?.(event);
    this.dispatchEvent(event);
  }
}
