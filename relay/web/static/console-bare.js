/** What a bare `WebSocket` is shown, for comparison with what the relay told. */

const PATIENCE_SECONDS = 15;

export function closed(code, reason) {
  return `close ${code} ${reason ? `“${reason}”` : "without a reason"}`;
}

/**
 * Open one, which offers no subprotocol but what a credential needs.
 *
 * @returns {Promise<string>} what it was shown until its end, or its first message, in words
 */
export function shown(url, credential) {
  const seen = [];
  const key = credential ? ["realtime", `openai-insecure-api-key.${credential}`] : [];
  const socket = new WebSocket(url, key);
  return new Promise((resolve) => {
    const ends = (last) => {
      clearTimeout(timer);
      socket.close();
      resolve([...seen, last].join(", then "));
    };
    const timer = setTimeout(() => ends(`nothing for ${PATIENCE_SECONDS} s`), PATIENCE_SECONDS * 1000);
    socket.onopen = () => seen.push("open");
    socket.onerror = () => seen.push("an error without a word");
    socket.onmessage = ({ data }) => {
      const { type, error } = JSON.parse(data);
      if (type !== "error") ends(`${type}: it works now`);
      else seen.push(`an error event, ${error.code}`);
    };
    socket.onclose = ({ code, reason }) => ends(closed(code, reason));
  });
}
