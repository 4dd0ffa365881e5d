// The microphone as 16 bit PCM, a tenth of a second at a time: the worklet itself is called 187
// times a second.
registerProcessor(
  "capture",
  class extends AudioWorkletProcessor {
    held = new Int16Array(2400);
    count = 0;

    process([[samples]]) {
      for (const sample of samples ?? []) {
        this.held[this.count++] = Math.max(-1, Math.min(1, sample)) * 0x7fff;
        if (this.count === this.held.length) {
          this.port.postMessage(this.held.slice());
          this.count = 0;
        }
      }
      return true;
    }
  },
);
