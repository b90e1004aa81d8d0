// The network in this page: from a picture to logits. Reads what model.js and onnxruntime-web.js hold.
"use strict";

// window.featherweight, for this page and for yours:
//   ready                  promise of { name, labels, inputShape, bytes... }; rejected where the network cannot run
//   classify(picture)      promise of { logits, probabilities, milliseconds, pixels }
//   picture: a Blob or File of a JPEG, PNG, WebP or BMP, an <img>, <canvas>, <video> or ImageBitmap
//   logits, probabilities: Float32Array, one for each label; milliseconds: of the network alone, a median of several
//   runs (pass { runs: 1 } for one run); pixels: what the network saw, bytes [side, side, channels]
globalThis.featherweight = (() => {
  const WARM_UP = 2, GROUPS = 7, GROUP_MILLISECONDS = 4, MOST_MILLISECONDS = 250;
  const { model, ...said } = globalThis.featherweightModel;
  const preprocessing = new Preprocessing(said.preprocessing);
  let session, tensor, busy = Promise.resolve();

  const ready = start();
  ready.catch(() => {}); // whoever awaits it is told

  async function start() {
    const runtime = globalThis.onnxruntimeWeb;
    if (!runtime) throw new Error("the file onnxruntime-web.js is missing beside the page");
    const address = URL.createObjectURL(new Blob([await unpacked(runtime.module)], { type: "text/javascript" }));
    const ort = await import(address);
    URL.revokeObjectURL(address);
    ort.env.wasm.numThreads = 1; // more would need a server that isolates the page from others
    ort.env.wasm.wasmBinary = await unpacked(runtime.wasm);
    ort.env.logLevel = "error";
    session = await ort.InferenceSession.create(await unpacked(model), { executionProviders: ["wasm"] });
    tensor = values => new ort.Tensor("float32", values, [1, ...said.inputShape]);
    const empty = new Float32Array(said.inputShape.reduce((product, side) => product * side, 1));
    for (let run = 0; run < WARM_UP; run++) await logitsOf(tensor(empty));
    return said;
  }

  // One picture after the other: the runtime takes one at a time.
  function classify(picture, options) {
    const answer = busy.then(() => ready).then(() => classified(picture, options));
    busy = answer.catch(() => {});
    return answer;
  }

  async function classified(picture, { runs = GROUPS } = {}) {
    const pixels = preprocessing.fit(await decoded(picture));
    const input = tensor(preprocessing.normalize(pixels));
    let begin = performance.now();
    const logits = await logitsOf(input), times = [performance.now() - begin];
    // A page's clock may tick only every millisecond: short runs are timed in groups.
    const group = runs === 1 ? 1 : Math.max(1, Math.ceil(GROUP_MILLISECONDS / Math.max(times[0], 0.01)));
    if (group > 1) times.pop();
    for (let spent = 0; runs > 1 && times.length < runs && spent < MOST_MILLISECONDS;) {
      begin = performance.now();
      for (let run = 0; run < group; run++) await session.run({ [session.inputNames[0]]: input });
      const took = performance.now() - begin;
      spent += took;
      times.push(took / group);
    }
    return { logits, probabilities: softmax(logits), milliseconds: median(times), pixels };
  }

  async function logitsOf(input) {
    const outputs = await session.run({ [session.inputNames[0]]: input });
    return Float32Array.from(outputs[session.outputNames[0]].data);
  }

  // A picture's RGBA values, turned as the camera was held, without its colour profile, on white where transparent.
  async function decoded(picture) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(picture, { imageOrientation: "from-image", colorSpaceConversion: "none" });
    } catch (error) {
      throw new Error("this is no picture that the browser can read", { cause: error });
    }
    const { width, height } = bitmap;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error(`the picture is too large for the browser: ${width} × ${height} pixels`);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    return context.getImageData(0, 0, width, height);
  }

  // Bytes that were deflated with gzip and written in base64.
  async function unpacked(text) {
    const binary = atob(text), bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function softmax(logits) {
    const largest = Math.max(...logits);
    const powers = logits.map(logit => Math.exp(logit - largest));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map(power => power / total);
  }

  function median(values) {
    const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  return { ready, classify, preprocessing };
})();
