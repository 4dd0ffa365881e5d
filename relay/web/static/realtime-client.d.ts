/** Seconds, but for the counts. */
export interface Times {
  firstEvent: number;
  backoffBase: number;
  backoffMost: number;
  stall: number;
  slow: number;
  steady: number;
  losses: number;
  look: number;
}

/** An event of the Realtime API. */
export interface RealtimeEvent {
  type: string;
  [field: string]: unknown;
}

/** What the relay, or the service, has said. */
export interface Told {
  code?: string | null;
  message?: string;
  retryable?: boolean;
  retry_after?: number;
  request_id?: string;
  close?: { code: number; reason: string };
  [field: string]: unknown;
}

export type State =
  | "connecting"
  | "open"
  | "degraded"
  | "reconnecting"
  | "offline"
  | "refused"
  | "closed";

export interface StateChange {
  state: State;
  error?: Told;
  /** Seconds until the next try. */
  retryIn?: number;
}

type Several<T> = T[] | (() => T[] | null | undefined);

export interface Options extends Partial<Times> {
  /** An ephemeral secret, or what gives one; asked for each connection. */
  credential?: string | null | (() => string | null | Promise<string | null>);
  /** Events to send first in each session. */
  setup?: Several<RealtimeEvent>;
  /** Events that tell a new session what it shall know of the conversation. */
  items?: Several<RealtimeEvent>;
  /** The steps of degradation, the best first. */
  ladder?: string[];
  /** More subprotocols. */
  protocols?: string[];
  WebSocket?: new (url: string, protocols?: string[]) => WebSocket;
  clock?: { now(): number; set(act: () => void, ms: number): unknown; clear(timer: unknown): void };
  random?: () => number;
  page?: unknown;
}

export interface Meaning {
  kind: "refused" | "lost" | "closed";
  retryable: boolean;
  after: number | null;
  error: Told;
}

export const DEFAULTS: Times;
export function delay(attempt: number, asked?: number | null, options?: Times, random?: () => number): number;
export function meaning(end: {
  code: number;
  reason?: string;
  error?: Told | null;
  opened: boolean;
  asked: boolean;
}): Meaning;

export class Ladder {
  constructor(steps: string[], options?: Times);
  readonly step: string;
  trouble(now: number): boolean;
  steady(now: number): boolean;
}

export class Quiet {
  readonly now: boolean;
  hears(event: RealtimeEvent): void;
}

interface ConnectionEvents {
  state: CustomEvent<StateChange>;
  event: CustomEvent<RealtimeEvent>;
  refused: CustomEvent<Told>;
  lost: CustomEvent<Told>;
  renewed: CustomEvent<{ items: number }>;
  step: CustomEvent<string>;
  message: MessageEvent<string>;
}

export class RealtimeConnection extends EventTarget {
  constructor(url: string | URL, options?: Options);
  readonly url: string;
  readonly state: State;
  readonly ladder: Ladder;
  connect(): this;
  send(event: RealtimeEvent | string): boolean;
  close(code?: number, reason?: string): void;
  addEventListener<K extends keyof ConnectionEvents>(
    type: K,
    listener: (event: ConnectionEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** The same as a `WebSocket`. */
export class RealtimeSocket extends EventTarget {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;
  constructor(url: string | URL, options?: Options);
  readonly connection: RealtimeConnection;
  readonly url: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: string;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent<string>) => void) | null;
  onerror: ((event: Event) => void) | null;
  onclose: ((event: Event) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}
