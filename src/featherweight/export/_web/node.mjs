// Runs an exported folder's network in Node.js, with the folder's own files: for tests without a browser.
// Its arguments are the folder and, as JSON, the SHA-256 sums of the runtime's two parts.
// Takes on its standard input: the number of pictures as uint32, then their float32 values; gives on its standard
// output for each such request one line of JSON, with the time that it took, and, unless that says "error", the
// logits as float32.
import { createHash } from "node:crypto";
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

console.log = console.info = console.error; // standard output is for the answers

const WHOLE = 4;
const folder = process.argv[2], sums = JSON.parse(process.argv[3]);
const { model, inputShape } = read("model.js");
const runtime = read("onnxruntime-web.js");
const size = inputShape.reduce((product, side) => product * side, 1);

// What such a file says, without running it: one assignment, perhaps after a comment.
function read(name) {
  const text = readFileSync(join(folder, name), "utf8"), start = text.indexOf("globalThis.");
  return JSON.parse(text.slice(text.indexOf("{", start), text.lastIndexOf("}") + 1));
}

function unpacked(text) {
  return gunzipSync(Buffer.from(text, "base64"));
}

// A part of the runtime, if it is the known one: no other program that lies beside a model is run.
function known(part) {
  const bytes = unpacked(runtime[part]), sum = createHash("sha256").update(bytes).digest("hex");
  if (sum !== sums[part]) {
    const file = join(folder, "onnxruntime-web.js");
    throw new Error(`${file} is not what this featherweight writes, and is not run: export the folder anew`);
  }
  return bytes;
}

function write(bytes) {
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(1, bytes, done);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error; // the pipe is full for now
    }
  }
}

function say(line) {
  write(Buffer.from(JSON.stringify(line) + "\n"));
}

async function opened() {
  const ort = await import(`data:text/javascript;base64,${known("module").toString("base64")}`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = known("wasm");
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(unpacked(model), { executionProviders: ["wasm"] });
  return async bytes => {
    const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const input = new ort.Tensor("float32", values, [values.length / size, ...inputShape]);
    const outputs = await session.run({ [session.inputNames[0]]: input });
    return outputs[session.outputNames[0]].data;
  };
}

async function answer(run, bytes) {
  try {
    const start = performance.now(), logits = await run(bytes);
    say({ count: logits.length, seconds: (performance.now() - start) / 1000 });
    write(Buffer.from(logits.buffer, logits.byteOffset, logits.byteLength));
  } catch (error) {
    say({ error: String(error.message ?? error) });
  }
}

let run;
try {
  run = await opened();
  say({ ready: runtime.version });
} catch (error) {
  say({ error: String(error.message ?? error) });
  process.exit(1);
}
let parts = [], have = 0;
for await (const part of process.stdin) {
  parts.push(part);
  have += part.length;
  while (have >= WHOLE) {
    if (parts[0].length < WHOLE) parts = [Buffer.concat(parts)];
    const wanted = WHOLE + parts[0].readUInt32LE(0) * size * 4;
    if (have < wanted) break;
    const all = Buffer.concat(parts);
    await answer(run, all.subarray(WHOLE, wanted));
    parts = [all.subarray(wanted)];
    have = parts[0].length;
  }
}
