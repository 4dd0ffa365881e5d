// Checked by tsc, never run: how an app uses the types.
import { RealtimeConnection, RealtimeSocket, type Told } from "../../../relay/web/static/realtime-client.js";

const connection: RealtimeConnection = new RealtimeConnection("wss://relay.example/v1/realtime", {
  credential: async () => "ek_1",
  setup: [{ type: "session.update", session: {} }],
  items: () => null,
  ladder: ["audio", "text"],
  stall: 5,
}).connect();
connection.addEventListener("state", ({ detail }) => {
  const state: string = detail.state;
  const wait: number | undefined = detail.retryIn;
  console.log(state, wait);
});
connection.addEventListener("refused", ({ detail }: CustomEvent<Told>) => console.log(detail.message));
const sent: boolean = connection.send({ type: "response.create" });
const socket = new RealtimeSocket("wss://relay.example/v1/realtime");
socket.onmessage = ({ data }) => console.log(data.length, sent);
// @ts-expect-error: there is no such option
new RealtimeConnection("wss://relay.example", { stal: 5 });
