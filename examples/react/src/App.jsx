import { useState } from "react";
import { useRealtime } from "./useRealtime.js";

const RELAY = new URLSearchParams(location.search).get("relay") ?? "http://127.0.0.1:8080";
const MODEL = new URLSearchParams(location.search).get("model") ?? "gpt-realtime";

/** What each state means to whoever looks at the page. */
const WORDS = {
  connecting: "Connecting…",
  open: "Connected.",
  degraded: "The network is slow.",
  reconnecting: "The connection was lost. Trying again…",
  offline: "There is no network.",
  refused: "This does not work now.",
  closed: "The session has ended.",
};

const OPTIONS = {
  // An app asks its own backend for a secret here; the demo wants none.
  credential: null,
  setup: [{ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } }],
};

export function App() {
  const [said, setSaid] = useState([]);
  const [text, setText] = useState("");
  const url = `${RELAY.replace("http", "ws")}/v1/realtime?model=${encodeURIComponent(MODEL)}`;
  const { state, error, send } = useRealtime(url, OPTIONS, (event) => {
    if (event.type === "response.output_text.done") say("it", event.text);
  });

  function say(who, what) {
    setSaid((before) => [...before, `${who}: ${what}`]);
  }

  function submit(event) {
    event.preventDefault();
    const content = [{ type: "input_text", text }];
    const item = { type: "message", role: "user", content };
    if (!send({ type: "conversation.item.create", item })) return;
    send({ type: "response.create" });
    say("you", text);
    setText("");
  }

  return (
    <main>
      <h1>A session in React</h1>
      <p role="status" data-state={state}>
        {WORDS[state]} {error?.message}
      </p>
      <ol>
        {said.map((line, at) => (
          <li key={at}>{line}</li>
        ))}
      </ol>
      <form onSubmit={submit}>
        <label>
          Say <input value={text} onChange={(event) => setText(event.target.value)} />
        </label>
        <button disabled={state !== "open" || !text}>Send</button>
      </form>
    </main>
  );
}
