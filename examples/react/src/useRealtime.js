import { useEffect, useRef, useState } from "react";
import { RealtimeConnection } from "realtime-client";

/**
 * A session for as long as the component is there.
 *
 * @param {string} url wss://HOST/v1/realtime?model=NAME; another one is another session
 * @param {object} options credential, setup, items and so on, as of RealtimeConnection. They are
 *   looked at once, when the session begins.
 * @param {(event: object) => void} onEvent called with each event of the service
 * @returns {{state: string, error?: object, retryIn?: number, send: (event: object) => boolean}}
 */
export function useRealtime(url, options, onEvent) {
  const [told, setTold] = useState({ state: "connecting" });
  const [connection, setConnection] = useState(null);
  const hears = useRef(onEvent);
  useEffect(() => {
    hears.current = onEvent;
  });
  useEffect(() => {
    const made = new RealtimeConnection(url, options);
    made.addEventListener("state", ({ detail }) => setTold(detail));
    made.addEventListener("event", ({ detail }) => hears.current?.(detail));
    // StrictMode mounts each component twice. The first connection is closed before it has opened a
    // WebSocket, so that there is one session.
    made.connect();
    setConnection(made);
    return () => made.close();
  }, [url]);
  return { ...told, send: (event) => connection?.send(event) ?? false };
}
