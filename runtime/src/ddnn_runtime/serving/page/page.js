// The page of a server, and of a folder that `ddnn web` writes. Who answers is a "backend": a server over HTTP, unless
// another script has set `globalThis.ddnnBackend` before (browser.js: the nets run here). Both have
//   describe(say)           -> what GET /nets gives; `say` is told how loading goes
//   predict(image, wishes)  -> what POST /predict gives; wishes are subnet, deadline (milliseconds) and top
//   place(description)      -> in a few words, where answers come from
// A server has status() too, a browser has engines() and use(engine). What goes wrong is a Refusal.
"use strict";
(() => {
  const COLUMNS = 60, SLIDER = 100, TICK = 1000, PATIENCE = 150, LONGEST = 60000;

  class Refusal extends Error {
    constructor(message, { status = 0, retry = null, away = false } = {}) {
      super(message);
      Object.assign(this, { status, retry, away });
    }
  }

  // ---- a server ----

  async function ask(path, options) {
    const response = await fetch(path, { signal: AbortSignal.timeout(LONGEST), ...options }).catch(() => null);
    if (!response) throw new Refusal("the server does not answer: it was stopped, or the network is down", { away: true });
    const body = await response.json().catch(() => null);
    if (response.ok && body) return body;
    const said = body?.error ?? `the server answers with status ${response.status}`;
    const more = response.status === 401 ? "; reload the page to give the key" : "";
    throw new Refusal(said + more, { status: response.status, retry: response.headers.get("Retry-After") });
  }

  const server = {
    describe: () => ask("nets"),
    status: () => ask("status"),
    place: (description) => `Served here, policy ${description.policy}`,
    predict(image, { subnet, deadline, top = 1 }) {
      const headers = { "X-Top": String(top), "Content-Type": "application/octet-stream" };
      if (subnet) headers["X-Subnet"] = subnet;
      if (deadline) headers["X-Deadline-Ms"] = String(deadline);
      return ask("predict", { method: "POST", body: image, headers });
    },
  };

  const backend = globalThis.ddnnBackend?.(Refusal) ?? server;

  // ---- small things ----

  const byId = (id) => document.getElementById(id);
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
  const short = (number) => Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(number);
  const labelOf = ({ label, class: number }) => label ?? `class ${number}`;

  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // The style goes through the object model, which a strict Content-Security-Policy allows.
  function styled(element, values) {
    for (const [name, value] of Object.entries(values)) element.style.setProperty(`--${name}`, value);
    return element;
  }

  const bar = () => make("span", { className: "bar" }, make("i"));
  const fill = (element, share) => styled(element.querySelector(".bar i"), { share: Math.min(1, Math.max(0, share)) });

  // ---- what the page knows ----

  let description = null, rows = new Map(), image = null, turn = 0, asking = 0, history = [], before = null;
  const names = () => description.nets.map((net) => net.name);
  const shadeOf = (name) => ({ depth: names().length > 1 ? names().indexOf(name) / (names().length - 1) : 1 });

  function state(kind, text) {
    byId("state").dataset.state = kind;
    byId("state").textContent = text;
  }

  function complain(error) {
    if (!(error instanceof Refusal)) console.error(error);
    const wait = error.retry ? `; try again in ${error.retry} s` : "";
    const text = error.message.charAt(0).toUpperCase() + error.message.slice(1) + wait;
    byId("message-text").textContent = text.endsWith(".") ? text : `${text}.`;
    byId("again").hidden = !(error.away || error.status === 429 || error.status >= 500);
    byId("message").hidden = false;
    if (error.away) state("away", "Away");
  }

  const calm = () => { byId("message").hidden = true; };

  // ---- the nets ----

  function row(net) {
    const squares = net.depth.map((blocks) => make("span", {}, ...Array.from({ length: blocks }, () => make("i"))));
    const blocks = make("span", { className: "blocks", title: `${net.depth.join(", ")} blocks` }, ...squares);
    const who = make("span", { className: "who" }, net.name, make("span", { className: "tag", textContent: "answers" }));
    const cost = `${short(net.parameters)} weights, ${short(net.macs)} operations`;
    const value = () => make("data", { className: "value", textContent: "–" });
    const cells = {
      net: make("th", { scope: "row" }, who, blocks, make("span", { className: "muted cost", textContent: cost })),
      label: make("td", { className: "label", textContent: "–" }),
      probability: make("td", {}, value(), bar()),
      time: make("td", {}, value(), bar()),
      accuracy: make("td", {}, value(), bar()),
    };
    const heads = { net: "", label: "Answer", probability: "Probability", time: "Time", accuracy: "Test accuracy" };
    for (const [name, cell] of Object.entries(cells)) {
      cell.dataset.head = heads[name];
      cell.setAttribute("role", name === "net" ? "rowheader" : "cell");
    }
    const element = styled(make("tr", { className: "net" }, ...Object.values(cells)), shadeOf(net.name));
    element.setAttribute("role", "row");
    element.dataset.net = net.name;
    if (net.accuracy !== null) put(cells.accuracy, net.accuracy, percent(net.accuracy), net.accuracy);
    return { element, cells, ms: net.ms[0] };
  }

  function put(cell, value, text, share) {
    Object.assign(cell.querySelector("data"), { value: String(value), textContent: text });
    fill(cell, share);
  }

  function showTimes() {
    const slowest = Math.max(...[...rows.values()].map((each) => each.ms));
    for (const { cells, ms } of rows.values()) put(cells.time, ms, milliseconds(ms), ms / slowest);
  }

  function showNets() {
    rows = new Map(description.nets.map((net) => [net.name, row(net)]));
    byId("nets").replaceChildren(...[...rows.values()].map((each) => each.element));
    showTimes();
    const [, height, width] = description.input_shape;
    const depths = `${rows.size} ${rows.size === 1 ? "depth" : "depths"} of one network`;
    byId("about").textContent = `${depths}, ${description.classes} classes, images of ${width} × ${height}`;
    byId("name").textContent = document.title = `${names().at(-1)}, every depth`;
    state("ready", backend.place(description));
  }

  function showDepth(net, answer) {
    const { cells } = rows.get(net.name), [said] = answer.predictions;
    if (answer.subnet !== net.name) {
      cells.label.textContent = `not asked: this server answers by ${answer.subnet}`;
      return;
    }
    cells.label.textContent = labelOf(said);
    put(cells.probability, said.probability, percent(said.probability), said.probability);
    rows.get(net.name).ms = answer.ran_ms;
    showTimes();
  }

  function choose(name) {
    for (const [other, { element }] of rows) element.classList.toggle("chosen", other === name);
  }

  // ---- the deadline ----

  function range() {
    const times = description.nets.map((net) => net.ms[0]);
    return [0.5 * Math.min(...times), 4 * Math.max(...times)];
  }

  function deadline() {
    const place = Number(byId("deadline").value), [low, high] = range();
    return place >= SLIDER ? null : Number((low * (high / low) ** (place / (SLIDER - 1))).toPrecision(3));
  }

  function showDeadline() {
    const limit = deadline(), own = description.deadline_ms;
    const text = limit ? milliseconds(limit) : own ? `the server's own, ${milliseconds(own)}` : "none";
    byId("limit").textContent = text;
    byId("deadline").setAttribute("aria-valuetext", text);
    if (!image) choose(byTable(limit ?? Infinity));
  }

  // The most accurate net that is fast enough, or the deepest where accuracies are not known; null if none is.
  function byTable(limit) {
    const fitting = description.nets.filter((net) => net.ms[0] <= limit);
    const best = (one, other) => (other.accuracy > one.accuracy ? other : one);
    if (!fitting.length) return null;
    return (fitting.every((net) => net.accuracy !== null) ? fitting.reduce(best) : fitting.at(-1)).name;
  }

  function showMarks() {
    const [low, high] = range();
    const mark = (net) => {
      const at = (Math.log(net.ms[0] / low) / Math.log(high / low)) * ((SLIDER - 1) / SLIDER);
      return styled(make("i", { className: "net" }), { at, ...shadeOf(net.name) });
    };
    byId("marks").replaceChildren(...description.nets.map(mark));
  }

  async function decide() {
    const mine = ++asking, limit = deadline();
    try {
      const answer = await backend.predict(image, { deadline: limit, top: 3 });
      if (mine === asking) showAnswer(answer, limit);
      return true;
    } catch (error) {
      if (mine !== asking) return false;
      choose(null);
      byId("top").replaceChildren();
      byId("said").textContent = "No answer";
      const late = error.status === 503 && limit !== null;
      byId("by").textContent = late ? error.message : "";
      if (!late) complain(error);
      return late;
    }
  }

  function showAnswer(answer, limit) {
    const [said] = answer.predictions, by = `by ${answer.subnet} in ${milliseconds(answer.ran_ms)}`;
    const waited = answer.waited_ms >= 0.005 ? `, after waiting ${milliseconds(answer.waited_ms)}` : "";
    byId("said").textContent = labelOf(said);
    byId("by").textContent = `${percent(said.probability)}, ${by}${waited}`;
    choose(answer.subnet);
    if (rows.has(answer.subnet)) rows.get(answer.subnet).ms = answer.ran_ms;
    showTimes();
    const likely = (each) => {
      const label = make("span", { textContent: labelOf(each) });
      const item = make("li", { className: "net" }, label, bar(), percent(each.probability));
      fill(item, each.probability);
      return styled(item, shadeOf(said.subnet));
    };
    byId("top").replaceChildren(...said.top.map(likely));
    if (!backend.status) extend({ parts: { [answer.subnet]: answer.ran_ms }, line: limit });
  }

  // ---- the image ----

  async function show(file) {
    const mine = ++turn;
    calm();
    image = file;
    preview(file);
    for (const { cells } of rows.values()) {
      cells.label.textContent = "–";
      put(cells.probability, "", "–", 0);
    }
    const goesOn = await decide();
    for (const net of description.nets) {
      if (mine !== turn || !goesOn) return;
      try {
        const answer = await backend.predict(file, { subnet: net.name });
        if (mine === turn) showDepth(net, answer);
      } catch (error) {
        if (mine === turn) complain(error);
        return;
      }
    }
  }

  function preview(file) {
    const picture = byId("preview");
    if (picture.src) URL.revokeObjectURL(picture.src);
    picture.onload = () => {
      picture.classList.toggle("tiny", Math.max(picture.naturalWidth, picture.naturalHeight) <= 64);
      picture.hidden = false;
    };
    picture.onerror = () => { picture.hidden = true; };
    picture.src = URL.createObjectURL(file);
    picture.alt = file.name ?? "the pasted image";
    byId("hint").textContent = file.name ?? "Pasted image";
    byId("choose").textContent = "choose another";
  }

  function take(files) {
    if (!description) return;
    if (files?.length) show(files[0]);
    else complain(new Refusal("that was no file; drop, paste or choose an image file"));
  }

  // ---- the chart ----

  function extend(column) {
    history = [...history, column].slice(-COLUMNS);
    drawChart();
  }

  function drawChart() {
    const sum = (column) => Object.values(column.parts).reduce((one, other) => one + other, 0);
    const tallest = Math.max(...history.map(sum)), highest = Math.max(...history.map((each) => each.line ?? 0));
    const unit = backend.status ? Math.max(highest, 1) : Math.max(highest, tallest), whole = (backend.status ? tallest : unit) || 1;
    const width = 600 / COLUMNS, left = 600 - history.length * width, points = [], shapes = [];
    history.forEach((column, place) => {
      let top = 120;
      for (const name of names()) {
        const height = (116 * (column.parts[name] ?? 0)) / whole;
        if (height) shapes.push(shape("rect", { x: left + place * width + 1, y: top -= height, width: width - 2, height }, name));
      }
      if (column.line !== null) points.push(`${left + (place + 0.5) * width},${119 - (115 * column.line) / unit}`);
    });
    byId("chart").replaceChildren(...shapes, shape("polyline", { points: points.join(" ") }));
    captions(tallest, highest);
  }

  function shape(tag, attributes, name) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (name) styled(element, shadeOf(name)).setAttribute("class", "net");
    return element;
  }

  function captions(tallest, highest) {
    const total = Object.fromEntries(names().map((name) => [name, 0]));
    for (const { parts } of history) for (const name of Object.keys(parts)) total[name] += backend.status ? parts[name] : 1;
    const counts = names().map((name) => `${name}: ${Math.round(total[name])}`);
    const legend = (name, place) => styled(make("span", { className: "net", textContent: counts[place] }), shadeOf(name));
    byId("legend").replaceChildren(...names().map(legend));
    const [bars, line] = backend.status
      ? [`bars: up to ${short(tallest)} images a second`, `waiting: up to ${highest}`]
      : [`bars: up to ${milliseconds(tallest)}`, highest ? `deadline: up to ${milliseconds(highest)}` : ""];
    byId("most-bars").textContent = bars;
    byId("most-line").textContent = line;
    byId("chart").setAttribute("aria-label", `Answers: ${counts.join(", ")}`);
  }

  async function watch() {
    if (!document.hidden) {
      try {
        const status = await backend.status();
        if (description) tick(status);
        else await start();
      } catch (error) {
        before = null;
        state("away", error.away ? "Away" : "Not ready");
      }
    }
    setTimeout(watch, TICK);
  }

  function tick(status) {
    const now = performance.now();
    if (before && status.uptime_s >= before.status.uptime_s) {
      const seconds = (now - before.now) / 1000;
      const since = (name) => ((status.answered[name] ?? 0) - (before.status.answered[name] ?? 0)) / seconds;
      extend({ parts: Object.fromEntries(names().map((name) => [name, since(name)])), line: status.queue });
    }
    if (byId("state").dataset.state === "away") calm();
    state("ready", `${backend.place(description)}, ${status.queue} waiting`);
    before = { now, status };
  }

  // ---- what happens ----

  function listen() {
    const drop = byId("drop"), over = (is) => (event) => { event.preventDefault(); drop.classList.toggle("over", is); };
    let later = 0;
    byId("file").addEventListener("change", (event) => {
      if (event.target.files.length) take(event.target.files);
      event.target.value = ""; // the same file again is a change
    });
    addEventListener("dragover", over(true));
    addEventListener("dragleave", over(false));
    addEventListener("drop", (event) => { over(false)(event); take(event.dataTransfer?.files); });
    addEventListener("paste", (event) => take(event.clipboardData?.files));
    byId("deadline").addEventListener("input", () => {
      if (!description) return;
      showDeadline();
      clearTimeout(later);
      if (image) later = setTimeout(decide, PATIENCE);
    });
    byId("again").addEventListener("click", () => { calm(); if (description && image) show(image); else start(); });
    byId("engine").addEventListener("change", (event) => start(() => backend.use(event.target.value, loading)));
  }

  function showEngines() {
    const found = backend.engines?.() ?? [];
    byId("engine").replaceChildren(...found.map((engine) => make("option", engine)));
    byId("engine-choice").hidden = found.length < 2;
  }

  const loading = (text) => state("busy", text);

  async function start(describe = () => backend.describe(loading)) {
    try {
      description = await describe();
      calm();
      showNets();
      showMarks();
      showDeadline();
      showEngines();
      if (image) show(image);
    } catch (error) {
      complain(error);
      byId("again").hidden = false;
      state("away", "Not ready");
    }
  }

  async function begin() {
    byId("chart-note").textContent = backend.status
      ? "Images answered each second, by net, over the last minute; the line is how many wait."
      : "Milliseconds of each answer of this visit, in the colour of its net; the line is the deadline.";
    byId("private").textContent = backend.status ? "" : "The image stays in this browser: the nets run here.";
    listen();
    await start();
    if (backend.status) watch();
  }

  begin();
})();
