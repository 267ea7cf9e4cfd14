/* Records a message in the browser and puts it into the form's file field, as the WAV file that the
 * telephone carries (8 kHz, mono, 16 bit), so that the server gets the same kind of file whether it
 * was recorded or chosen. Without this file, or without a microphone, a WAV file can be chosen. */
"use strict";

const TELEPHONE_RATE = 8000;

/* What MediaRecorder gave (WebM, MP4 or Ogg, as the browser likes) to samples of the telephone. */
async function toSamples(blob) {
  const decoder = new AudioContext();
  try {
    const sound = await decoder.decodeAudioData(await blob.arrayBuffer());
    const length = Math.max(1, Math.ceil(sound.duration * TELEPHONE_RATE));
    const offline = new OfflineAudioContext(1, length, TELEPHONE_RATE);
    const source = offline.createBufferSource();
    source.buffer = sound;
    source.connect(offline.destination);
    source.start();
    return (await offline.startRendering()).getChannelData(0);
  } finally {
    await decoder.close();
  }
}

function toWav(samples) {
  const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const text = (at, word) => [...word].forEach((sign, n) => view.setUint8(at + n, sign.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + samples.length * 2, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, TELEPHONE_RATE, true);
  view.setUint32(28, TELEPHONE_RATE * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, n) => {
    view.setInt16(44 + n * 2, Math.max(-1, Math.min(1, sample)) * 0x7fff, true);
  });
  return view.buffer;
}

function setUp(part) {
  const field = part.querySelector("input[type=file]");
  const start = part.querySelector("[data-start]");
  const stop = part.querySelector("[data-stop]");
  const player = part.querySelector("[data-play]");
  const state = part.querySelector("[data-state]");
  const elapsed = part.querySelector("[data-elapsed]");
  let recorder = null;
  let clock = 0;

  // Shows how long it is by now and stops at the longest that the telephone takes.
  const tick = (began) => {
    const seconds = Math.floor((performance.now() - began) / 1000);
    elapsed.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (seconds >= Number(part.dataset.longest)) recorder?.stop();
  };

  const rest = () => {
    clearInterval(clock);
    elapsed.textContent = "";
    recorder.stream.getTracks().forEach((track) => track.stop());
    recorder = null;
    stop.hidden = true;
    start.hidden = false;
    start.focus();
  };

  const keep = async (pieces, type) => {
    try {
      const wav = toWav(await toSamples(new Blob(pieces, { type })));
      const file = new File([wav], part.dataset.fileName, { type: "audio/wav" });
      const carrier = new DataTransfer();
      carrier.items.add(file);
      field.files = carrier.files;
      if (player.src) URL.revokeObjectURL(player.src);
      player.src = URL.createObjectURL(file);
      player.hidden = false;
      state.textContent = part.dataset.doneWords;
    } catch {
      state.textContent = part.dataset.refusedWords;
    }
  };

  start.addEventListener("click", async () => {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      state.textContent = part.dataset.refusedWords;
      return;
    }
    const pieces = [];
    recorder = new MediaRecorder(stream);
    const type = recorder.mimeType;
    recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
    recorder.addEventListener("stop", () => {
      rest();
      keep(pieces, type);
    });
    recorder.start();
    clock = setInterval(tick, 250, performance.now());
    state.textContent = part.dataset.recordingWords;
    start.hidden = true;
    stop.hidden = false;
    stop.focus();
  });
  stop.addEventListener("click", () => recorder?.stop());
  // A chosen file takes the place of what was recorded.
  field.addEventListener("change", () => {
    player.hidden = true;
    state.textContent = "";
  });
  part.querySelector("[data-recorder-tools]").hidden = false;
}

if (window.MediaRecorder && navigator.mediaDevices) {
  document.querySelectorAll("[data-recorder]").forEach(setUp);
}
