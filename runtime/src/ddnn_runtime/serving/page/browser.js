// The backend of page.js in a folder that `ddnn web` wrote: all nets run here, by onnxruntime-web, over one download of
// weights. site.json says which onnxruntime-web; export/export.json says all else. Each file that is loaded must have
// the checksum that those name.
"use strict";
globalThis.ddnnBackend = (Refusal) => {
  const TIMED = 20, MOST_CALLS = 50; // milliseconds, and calls, of one measurement: clocks of browsers are coarse
  const NAMES = { webgpu: "WebGPU", wasm: "WebAssembly" };
  const files = new Map(), sessions = new Map(), prepared = new WeakMap();
  let site = null, made = null, ort = null, engine = null, ms = {}, gpu = null, queue = Promise.resolve();

  const inOrder = (work) => (queue = queue.then(work, work)); // one call at a time, or each would slow the others

  // ---- what is loaded ----

  const hexToBase64 = (hex) => btoa(String.fromCharCode(...hex.match(/../g).map((pair) => parseInt(pair, 16))));

  async function load(address, integrity) {
    const response = await fetch(address, integrity ? { integrity } : { cache: "no-cache" }).catch(() => null);
    const checked = integrity ? ", or it is another file than this page was made with" : "";
    if (!response?.ok) throw new Refusal(`${address} cannot be loaded${checked}`, { away: true });
    return response.arrayBuffer();
  }

  const json = async (address) => JSON.parse(new TextDecoder().decode(await load(address)));

  function file({ file: name, sha256 }) {
    if (!files.has(name)) files.set(name, load(`export/${name}`, `sha256-${hexToBase64(sha256)}`));
    files.get(name).catch(() => files.delete(name)); // to be tried again
    return files.get(name);
  }

  async function runtime(kind) {
    const { script, binary } = site.engines[kind];
    const [code, wasm] = await Promise.all([script, binary].map(({ address, integrity }) => load(address, integrity)));
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const loaded = await import(address); // it stays: threads are started from it
    loaded.env.logLevel = "error";
    loaded.env.wasm.wasmBinary = wasm;
    return loaded;
  }

  // ---- the nets ----

  async function open(kind, say) {
    const nets = Object.entries(made.nets);
    const bytes = nets.reduce((sum, [, net]) => sum + net.graph.bytes, made.weights?.bytes ?? 0);
    say(`Loading ${(bytes / 1e6).toFixed(1)} MB for all ${nets.length} depths`);
    const weights = made.weights && new Uint8Array(await file(made.weights));
    const externalData = weights ? [{ path: made.weights.file, data: weights }] : [];
    const loaded = await runtime(kind), opened = new Map();
    for (const [name, net] of nets) {
      say(`Opening ${name}`);
      const options = { executionProviders: [kind], externalData, logSeverityLevel: 3 };
      opened.set(name, await loaded.InferenceSession.create(new Uint8Array(await file(net.graph)), options));
    }
    for (const session of sessions.values()) await session.release();
    sessions.clear();
    for (const [name, session] of opened) sessions.set(name, session);
    [ort, engine] = [loaded, kind];
    await measure(say);
  }

  async function measure(say) {
    say("Measuring");
    const zeros = new Float32Array(made.input_shape.reduce((one, other) => one * other));
    for (const name of sessions.keys()) {
      await run(name, zeros); // the first calls are slower
      ms[name] = (await run(name, zeros)).ms;
    }
  }

  async function run(name, numbers) {
    const images = new ort.Tensor("float32", numbers, [1, ...made.input_shape]);
    const began = performance.now();
    let calls = 0, logits, taken;
    do {
      ({ logits } = await sessions.get(name).run({ images }));
      taken = performance.now() - began;
    } while (++calls < MOST_CALLS && taken < TIMED);
    return { logits: [...logits.data], ms: taken / calls };
  }

  // ---- answers ----

  function best(limit) {
    const fitting = Object.keys(made.nets).filter((name) => ms[name] <= limit);
    if (!fitting.length) {
      const fastest = Object.keys(ms).reduce((one, other) => (ms[other] < ms[one] ? other : one));
      const message = `no net answers within ${limit} ms here; the fastest, ${fastest}, takes ${ms[fastest].toPrecision(3)} ms`;
      throw new Refusal(message, { status: 503 });
    }
    const accuracy = (name) => made.nets[name].accuracy;
    const better = (one, other) => (accuracy(other) > accuracy(one) ? other : one);
    return fitting.every((name) => accuracy(name) !== null) ? fitting.reduce(better) : fitting.at(-1);
  }

  async function numbersOf(image) {
    if (!prepared.has(image)) prepared.set(image, await globalThis.ddnnPixels.prepared(image, made.data));
    return prepared.get(image);
  }

  async function answer(image, { subnet, deadline, top = 1 }) {
    const numbers = await numbersOf(image).catch((error) => {
      throw error.refused ? new Refusal(error.message, { status: 400 }) : error;
    });
    const name = subnet ?? best(deadline ?? Infinity), { logits, ms: taken } = await run(name, numbers);
    ms[name] = taken;
    const largest = Math.max(...logits), exps = logits.map((logit) => Math.exp(logit - largest));
    const sum = exps.reduce((one, other) => one + other, 0);
    const order = [...exps.keys()].sort((one, other) => exps[other] - exps[one]).slice(0, top);
    const classes = order.map((k) => ({ class: k, label: made.data.class_names[k], probability: exps[k] / sum }));
    return { subnet: name, waited_ms: 0, ran_ms: taken, predictions: [{ ...classes[0], subnet: name, top: classes }] };
  }

  function described() {
    const nets = Object.entries(made.nets).map(([name, { depth, accuracy, parameters, macs }]) => (
      { name, depth, accuracy, parameters, macs, ms: [ms[name]] }
    ));
    const { input_shape, num_classes: classes } = made;
    return { name: site.name, input_shape, classes, class_names: made.data.class_names, deadline_ms: null, nets };
  }

  return {
    async describe(say) {
      if (location.protocol === "file:")
        throw new Refusal("a browser loads no files for a page from a disk: run `python -m http.server` in this folder, and open http://localhost:8000");
      [site, made] = await Promise.all([json("site.json"), json("export/export.json")]);
      gpu = site.engines.webgpu ? ((await navigator.gpu?.requestAdapter().catch(() => null)) ?? null) : null;
      if (gpu && !gpu.info?.isFallbackAdapter) {
        try {
          await open("webgpu", say);
          return described();
        } catch (error) {
          gpu = null;
          if (error instanceof Refusal) throw error;
          console.warn("WebGPU cannot run these nets:", error);
        }
      }
      await open("wasm", say);
      return described();
    },
    async use(kind, say) {
      await inOrder(() => open(kind, say));
      return described();
    },
    predict: (image, wishes) => inOrder(() => answer(image, wishes)),
    engines() {
      const kinds = gpu ? ["webgpu", "wasm"] : ["wasm"];
      return kinds.map((kind) => ({ value: kind, textContent: NAMES[kind], selected: kind === engine }));
    },
    place() {
      const threads = ort.env.wasm.numThreads ?? 1;
      return engine === "webgpu" ? "WebGPU, in this browser" : `WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}`;
    },
  };
};
