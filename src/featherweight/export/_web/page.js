// The page: three ways to give a picture, and what the network says of it.
"use strict";

(() => {
  const SHOWN = 5, PEN = 0.11; // classes; width of a stroke, as a share of the drawing area
  const PAUSE = 100; // milliseconds between two looks at the camera
  const { ready, classify, preprocessing } = globalThis.featherweight;
  const find = id => document.getElementById(id);
  const ways = [...document.querySelectorAll("[name=way]")];

  const network = globalThis.featherweightModel, { labels } = network;
  const hints = { draw: "Draw something.", pictures: "Choose a picture.", camera: "Start the camera." };

  function introduce() {
    const [channels, height, width] = network.inputShape;
    document.title = `${network.name} · featherweight`;
    find("name").textContent = network.name;
    const facts = [
      `${width} × ${height} pixels, ${channels === 1 ? "grey" : "in colour"}`,
      `${size(network.bytes)}, ${network.precision}`,
      `ONNX Runtime ${globalThis.onnxruntimeWeb?.version}`,
    ];
    find("facts").replaceChildren(...facts.map(fact => element("span", fact)));
    find("count").textContent = `${labels.length} classes`;
    find("labels").textContent = labels.join(", ");
    ways.find(input => input.value === (channels === 1 ? "draw" : "pictures")).checked = true;
  }

  // ---- answers

  function complain(message) {
    find("status").textContent = message;
    find("status").classList.toggle("bad", Boolean(message));
  }

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function card() {
    return find("answer").content.firstElementChild.cloneNode(true);
  }

  // Fill a card with what classify() gave.
  function show(article, { probabilities, milliseconds, pixels }, caption) {
    const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, SHOWN);
    article.classList.remove("bad");
    article.querySelector("h3").textContent = labels[order[0]];
    article.querySelector(".bars").replaceChildren(...order.map(index => {
      const bar = document.createElement("li"), filled = document.createElement("i");
      filled.style.width = `${100 * probabilities[index]}%`;
      bar.append(filled, element("span", labels[index]), element("span", percent(probabilities[index])));
      return bar;
    }));
    article.querySelector(".time").textContent = `${time(milliseconds)} for the network, measured here`;
    article.querySelector("figcaption").textContent = caption;
    draw(article.querySelector(".seen"), pixels);
  }

  // What the network sees, one pixel for one.
  function draw(canvas, pixels) {
    const { resolution, channels } = preprocessing;
    canvas.width = canvas.height = resolution;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `What the network sees, ${resolution} × ${resolution} pixels`);
    const image = new ImageData(resolution, resolution);
    for (let i = 0; i < resolution * resolution; i++) {
      for (let channel = 0; channel < 3; channel++) image.data[4 * i + channel] = pixels[i * channels + channel % channels];
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  function percent(share) {
    return `${(100 * share).toFixed(1)} %`;
  }

  function time(ms) {
    return ms < 10 ? `${ms.toFixed(2)} ms` : `${ms.toFixed(0)} ms`;
  }

  function size(bytes) {
    return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  }

  // ---- three ways

  function chosen() {
    return ways.find(input => input.checked).value;
  }

  function choose() {
    for (const { value } of ways) find(value).hidden = value !== chosen();
    stopFilming();
    if (chosen() === "draw") wipe();
    begin();
  }

  function begin() {
    find("answers").replaceChildren();
    complain("");
    find("status").textContent = hints[chosen()];
  }

  for (const input of ways) input.addEventListener("change", choose);

  // ---- draw: in the colours of the training pictures, bright on dark where their mean is dark

  const pad = find("pad"), pen = pad.getContext("2d", { willReadFrequently: true });
  const bright = mean => mean.reduce((sum, value) => sum + value, 0) / mean.length < 0.5;
  const [paper, ink] = bright(network.preprocessing.mean) ? ["#000", "#fff"] : ["#fff", "#000"];
  let last, asked = false;

  function wipe() {
    pen.fillStyle = paper;
    pen.fillRect(0, 0, pad.width, pad.height);
  }

  function place(event) {
    const box = pad.getBoundingClientRect();
    return [(event.clientX - box.left) * pad.width / box.width, (event.clientY - box.top) * pad.height / box.height];
  }

  function stroke(event) {
    if (!last) return;
    Object.assign(pen, { strokeStyle: ink, lineWidth: PEN * pad.width, lineCap: "round", lineJoin: "round" });
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) {
      pen.beginPath();
      pen.moveTo(...last);
      last = place(move);
      pen.lineTo(...last);
      pen.stroke();
    }
    lookAtDrawing();
  }

  pad.addEventListener("pointerdown", event => {
    if (event.button) return;
    pad.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(event);
  });
  pad.addEventListener("pointermove", stroke);
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { last = undefined; });
  find("clear").addEventListener("click", choose);

  // Strokes come faster than answers: while one is awaited, the next is asked for once.
  async function lookAtDrawing() {
    if (asked) return;
    asked = true;
    await new Promise(requestAnimationFrame);
    asked = false;
    await answerLive(pad, "your drawing, as the network sees it");
  }

  // One card that changes with the drawing or the camera, as long as `wanted` says so.
  async function answerLive(source, caption, wanted = () => chosen() === "draw") {
    try {
      const answer = await classify(source);
      if (!wanted()) return;
      complain("");
      show(find("answers").firstElementChild ?? find("answers").appendChild(card()), answer, caption);
    } catch (error) {
      if (wanted()) complain(`No answer: ${error.message}`);
    }
  }

  // ---- pictures

  async function look(files) {
    if (!files.length) return;
    if (chosen() !== "pictures") {
      ways.find(input => input.value === "pictures").checked = true;
      choose();
    }
    complain("");
    for (const file of files) {
      const article = find("answers").insertBefore(card(), find("answers").firstElementChild);
      try {
        show(article, await classify(file), file.name);
      } catch (error) {
        article.classList.add("bad");
        article.querySelector("h3").textContent = `${file.name}: ${error.message}`;
      }
    }
  }

  find("files").addEventListener("change", event => {
    look([...event.target.files]);
    event.target.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", event => look([...(event.clipboardData?.files ?? [])]));
  document.addEventListener("dragover", event => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  for (const end of ["dragleave", "drop"]) document.addEventListener(end, () => document.body.classList.remove("over"));
  document.addEventListener("drop", event => {
    event.preventDefault();
    look([...event.dataTransfer.files]);
  });

  // ---- camera

  const video = find("video"), film = find("film");

  function stopFilming() {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
    video.hidden = true;
    film.textContent = "Start the camera";
  }

  async function startFilming() {
    if (!navigator.mediaDevices?.getUserMedia)
      throw new Error("a browser lends its camera only to pages from https://, localhost or a file");
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
    await video.play();
    video.hidden = false;
    film.textContent = "Stop the camera";
  }

  async function watch() {
    const stream = video.srcObject, filming = () => stream === video.srcObject;
    while (filming()) {
      await answerLive(video, "the camera, as the network sees it", filming);
      await new Promise(resolve => setTimeout(resolve, PAUSE));
    }
  }

  film.addEventListener("click", async () => {
    if (video.srcObject) return choose();
    film.disabled = true;
    try {
      await startFilming();
      watch();
    } catch (error) {
      stopFilming();
      const reasons = { NotAllowedError: "the browser was not allowed to use it", NotFoundError: "there is none" };
      complain(`No camera: ${reasons[error.name] ?? error.message}`);
    }
    film.disabled = false;
  });

  introduce();
  choose();
  const starting = find("status").textContent = "Starting the network…";
  ready.then(
    () => { if (find("status").textContent === starting) find("status").textContent = hints[chosen()]; },
    error => complain(`The network cannot run in this browser: ${error.message ?? error}`));
})();
