/** Microphone, sample clip and loudspeaker of the console: 24 kHz PCM16, mono. */

export const RATE = 24_000;

export function encode(samples) {
  const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text);
}

export function decode(text) {
  return new Int16Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}

/** A rising tone of a second, for whoever has no microphone. */
export function clip() {
  const length = RATE;
  return Int16Array.from({ length }, (_, n) => {
    const fade = Math.min(1, n / 2400, (length - n) / 2400);
    return 12_000 * fade * Math.sin((2 * Math.PI * n * (300 + (400 * n) / length)) / RATE);
  });
}

/** Plays what comes without a gap, and is silent at once when told to. */
export class Speaker {
  constructor(audio) {
    this.audio = audio;
    this.until = 0;
    this.playing = new Set();
  }

  play(samples) {
    const buffer = this.audio.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 0x8000), 0);
    const source = this.audio.createBufferSource();
    source.buffer = buffer;
    source.connect(this.audio.destination);
    this.until = Math.max(this.until, this.audio.currentTime);
    source.start(this.until);
    this.until += buffer.duration;
    this.playing.add(source);
    source.onended = () => this.playing.delete(source);
  }

  hush() {
    for (const source of this.playing) source.stop();
    this.playing.clear();
    this.until = 0;
  }
}

/** The microphone; `take` gets a tenth of a second each time. */
export async function microphone(audio, take) {
  await audio.audioWorklet.addModule(new URL("capture.js", import.meta.url));
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const source = audio.createMediaStreamSource(stream);
  const capture = new AudioWorkletNode(audio, "capture");
  capture.port.onmessage = ({ data }) => take(data);
  source.connect(capture);
  return () => {
    source.disconnect();
    for (const track of stream.getTracks()) track.stop();
  };
}

/** Draws the last seconds of what it is given. */
export class Wave {
  constructor(canvas, seconds = 5) {
    this.canvas = canvas;
    this.peaks = new Array(seconds * 20).fill(0);
  }

  add(samples) {
    for (let at = 0; at < samples.length; at += RATE / 20) {
      let peak = 0;
      for (const sample of samples.subarray(at, at + RATE / 20)) peak = Math.max(peak, Math.abs(sample));
      this.peaks.push(peak / 0x8000);
      this.peaks.shift();
    }
    this.draw();
  }

  draw() {
    const { canvas, peaks } = this;
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    context.clearRect(0, 0, width, height);
    context.fillStyle = getComputedStyle(canvas).color;
    peaks.forEach((peak, at) => {
      const tall = Math.max(1, peak * height);
      context.fillRect((at * width) / peaks.length, (height - tall) / 2, width / peaks.length - 1, tall);
    });
  }
}
