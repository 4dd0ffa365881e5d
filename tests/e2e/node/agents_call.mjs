// The agents SDK's default transport, up to the answer to its offer: node agents_call.mjs CALLS_URL
// There is no WebRTC here: what stands in for it makes an offer, and keeps the answer.
import { OpenAIRealtimeWebRTC } from "@openai/agents-realtime";

const url = process.argv[2];
const sdp = [
  "v=0",
  "o=- 1 2 IN IP4 127.0.0.1",
  "s=-",
  "t=0 0",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "a=mid:0",
  "a=rtpmap:111 opus/48000/2",
  "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
  "a=mid:1",
  "",
].join("\r\n");

let answered;
const answer = new Promise((resolve) => (answered = resolve));

globalThis.RTCPeerConnection = class {
  createDataChannel() {
    return new EventTarget();
  }
  addTrack() {}
  async createOffer() {
    return { type: "offer", sdp };
  }
  async setLocalDescription() {}
  async setRemoteDescription(description) {
    answered(description);
  }
  getSenders() {
    return [];
  }
  close() {}
};

const mediaStream = { getAudioTracks: () => [{ stop() {} }] };
const transport = new OpenAIRealtimeWebRTC({ mediaStream, audioElement: {}, useInsecureApiKey: true });
transport.on("error", () => {});
const failed = transport.connect({ apiKey: "anything", url, model: "gpt-realtime" });
failed.catch((error) => {
  console.error(error.message);
  process.exit(1);
});
const description = await answer;
setImmediate(() => {
  console.log(JSON.stringify({ callId: transport.callId, answer: description }));
  process.exit(0);
});
