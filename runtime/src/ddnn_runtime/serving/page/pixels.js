// From a picture's file to the numbers that a net takes, in a browser: what `ddnn_runtime.decoding` and
// `ddnn_runtime.pixels` do, to the same grey level. The browser only decodes. What it would do in its own way is done
// here: turning by EXIF, transparency, grey, resizing (Pillow's bilinear filter, in its fixed-point arithmetic).
"use strict";
globalThis.ddnnPixels = (() => {
  const PRECISION = 22; // bits of a weight, as Pillow has them
  const MOST = 2 ** 24; // pixels on the way; see ddnn_runtime.geometry
  const ascii = (bytes, at, length) => String.fromCharCode(...bytes.subarray(at, at + length));

  // ---- which way up ----

  // The blocks of a file that say something about the picture: [name, start, end].
  function* blocks(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (bytes[0] === 0xff && bytes[1] === 0xd8) {
      for (let at = 2, length; at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda; at += 2 + length) {
        length = view.getUint16(at + 2);
        if (bytes[at + 1] === 0xe1) yield [ascii(bytes, at + 4, 4), at + 4, at + 2 + length];
      }
    } else if (ascii(bytes, 1, 3) === "PNG") {
      for (let at = 8, length; at + 12 <= bytes.length; at += 12 + length) {
        length = view.getUint32(at);
        yield [ascii(bytes, at + 4, 4), at + 8, at + 8 + length];
      }
    } else if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 4) === "WEBP") {
      for (let at = 12, length; at + 8 <= bytes.length; at += 8 + length + (length & 1)) {
        length = view.getUint32(at + 4, true);
        yield [ascii(bytes, at, 4), at + 8, at + 8 + length];
      }
    }
  }

  // Where the orientation is in a block of EXIF, as [place, whether little-endian]; null if it is nowhere.
  function place(bytes, start, end) {
    if (ascii(bytes, start, 4) === "Exif") start += 6;
    const little = ascii(bytes, start, 2) === "II", view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if ((!little && ascii(bytes, start, 2) !== "MM") || start + 8 > end) return null;
    const table = start + view.getUint32(start + 4, little);
    for (let entry = table + 2; entry + 12 <= end && entry < table + 2 + 12 * view.getUint16(table, little); entry += 12)
      if (view.getUint16(entry, little) === 0x0112) return [entry + 8, little];
    return null;
  }

  // How a picture is stored, 1 to 8 as in EXIF. In the bytes it is set to 1, so that no browser turns the picture: some
  // do by themselves, in some formats, and cannot be told not to.
  function takeOrientation(bytes) {
    let exif = null, xmp = null;
    try {
      for (const [name, start, end] of blocks(bytes)) {
        const found = /^exif$/i.test(name) ? place(bytes, start, end) : null;
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        if (found) {
          exif = view.getUint16(...found);
          view.setUint16(found[0], 1, found[1]);
        } else if (/^(http|iTXt|XMP )$/.test(name)) {
          const text = new TextDecoder("latin1").decode(bytes.subarray(start, end));
          xmp ??= /tiff:Orientation(?:="|>)([0-9])/.exec(text)?.[1];
        }
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // EXIF that is damaged; the picture need not be
    }
    return exif ?? Number(xmp ?? 1);
  }

  // ---- planes of bytes: {width, height, channels, data} ----

  function turned({ width, height, channels, data }, orientation) {
    if (!(orientation >= 2 && orientation <= 8)) return { width, height, channels, data };
    const across = orientation >= 5, wide = across ? height : width, high = across ? width : height;
    const left = [2, 3, 7, 8].includes(orientation), up = [3, 4, 6, 7].includes(orientation);
    const out = new Uint8Array(data.length);
    for (let y = 0, to = 0; y < high; y++)
      for (let x = 0; x < wide; x++, to += channels) {
        const column = across ? y : x, row = across ? x : y;
        const from = ((up ? height - 1 - row : row) * width + (left ? width - 1 - column : column)) * channels;
        for (let c = 0; c < channels; c++) out[to + c] = data[from + c];
      }
    return { width: wide, height: high, channels, data: out };
  }

  // Red, green, blue and alpha, not multiplied with each other.
  function rgba(bitmap) {
    const { width, height } = bitmap, canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    for (let at = 3; at < data.length; at += 4) if (data[at] !== 255) return unmultiplied(bitmap) ?? data;
    return data;
  }

  // The same by way of WebGL, where a canvas has lost colours because it keeps them multiplied with alpha.
  function unmultiplied(bitmap) {
    const { width, height } = bitmap, gl = document.createElement("canvas").getContext("webgl");
    if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
    const data = new Uint8Array(width * height * 4), { RGBA, TEXTURE_2D, UNSIGNED_BYTE, FRAMEBUFFER } = gl;
    const texture = gl.createTexture();
    gl.bindTexture(TEXTURE_2D, texture);
    gl.texImage2D(TEXTURE_2D, 0, RGBA, RGBA, UNSIGNED_BYTE, bitmap);
    gl.bindFramebuffer(FRAMEBUFFER, gl.createFramebuffer());
    gl.framebufferTexture2D(FRAMEBUFFER, gl.COLOR_ATTACHMENT0, TEXTURE_2D, texture, 0);
    gl.readPixels(0, 0, width, height, RGBA, UNSIGNED_BYTE, data);
    const failed = gl.getError() !== gl.NO_ERROR;
    gl.getExtension("WEBGL_lose_context")?.loseContext();
    return failed ? null : data;
  }

  // The grey values that a JPEG has itself, which Pillow reads for nets that see grey; null where a browser hides them.
  async function luma(bytes) {
    if (!(bytes[0] === 0xff && bytes[1] === 0xd8) || typeof ImageDecoder === "undefined") return null;
    const decoder = new ImageDecoder({ data: bytes, type: "image/jpeg", colorSpaceConversion: "none" });
    try {
      const { image } = await decoder.decode(), { width, height } = image.visibleRect;
      if (!/^I4/.test(image.format ?? "")) return null;
      const planes = new Uint8Array(image.allocationSize()), [{ offset, stride }] = await image.copyTo(planes);
      const data = new Uint8Array(width * height);
      for (let y = 0; y < height; y++) data.set(planes.subarray(offset + y * stride, offset + y * stride + width), y * width);
      return { width, height, channels: 1, data };
    } catch {
      return null;
    } finally {
      decoder.close();
    }
  }

  // What is seen on the background, if there is one, as grey or RGB; in the arithmetic of Pillow.
  function shown(pixels, { width, height }, channels, background) {
    const data = new Uint8Array(width * height * channels), below = background ?? [0, 0, 0], colour = [0, 0, 0];
    for (let from = 0, to = 0; from < pixels.length; from += 4) {
      const alpha = background ? pixels[from + 3] : 255;
      for (let c = 0; c < 3; c++) {
        const mixed = pixels[from + c] * alpha + below[c] * (255 - alpha) + 128;
        colour[c] = (mixed + (mixed >> 8)) >> 8;
      }
      if (channels === 1) data[to++] = grey(colour);
      else for (let c = 0; c < 3; c++) data[to++] = colour[c];
    }
    return { width, height, channels, data };
  }

  const grey = (rgb) => (rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16; // ITU-R 601-2

  // ---- resizing; the sizes are those of ddnn_runtime.geometry, as [height, width] ----

  const whole = (a, b, c) => (a * b - ((a * b) % c)) / c;

  function halfEven(number) { // as Python rounds
    const low = Math.floor(number), rest = number - low;
    return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
  }

  function covering([oldHeight, oldWidth], wanted) {
    const [height, width] = Math.max(...wanted) <= 64 ? wanted : wanted.map((side) => whole(side, 256, 224));
    if (height * oldWidth >= width * oldHeight) return [height, whole(height, oldWidth, oldHeight)];
    return [whole(width, oldHeight, oldWidth), width];
  }

  function inside([oldHeight, oldWidth], [height, width]) {
    if (height * oldWidth >= width * oldHeight) return [Math.max(1, halfEven((width * oldHeight) / oldWidth)), width];
    return [height, Math.max(1, halfEven((height * oldWidth) / oldHeight))];
  }

  const centre = (old, wanted) => old.map((side, axis) => halfEven((side - wanted[axis]) / 2));

  // For each place of the output: where it begins in the input, and the weights, in fixed point.
  function weights(size, from, to, wanted) {
    const scale = Math.fround(to - from) / wanted, filter = Math.max(scale, 1), found = [];
    for (let place = 0; place < wanted; place++) {
      const middle = from + (place + 0.5) * scale;
      const first = Math.max(0, Math.trunc(middle - filter + 0.5)), end = Math.min(size, Math.trunc(middle + filter + 0.5));
      const each = [];
      for (let x = first; x < end; x++) each.push(Math.max(0, 1 - Math.abs((x - middle + 0.5) * (1 / filter))));
      const sum = each.reduce((one, other) => one + other, 0);
      found.push([first, each.map((weight) => Math.trunc(0.5 + (sum ? weight / sum : weight) * 2 ** PRECISION))]);
    }
    return found;
  }

  // Resize one axis, whose neighbours are `step` apart: of `lines` × `size` × `step` values.
  function resizedAxis(data, lines, size, step, from, to, wanted) {
    const table = weights(size, from, to, wanted), out = new Uint8Array(lines * wanted * step);
    for (let line = 0, at = 0; line < lines; line++)
      for (const [first, each] of table) {
        const start = (line * size + first) * step;
        for (let inner = 0; inner < step; inner++, at++) {
          let sum = 2 ** (PRECISION - 1);
          for (let k = 0; k < each.length; k++) sum += data[start + k * step + inner] * each[k];
          out[at] = Math.min(255, Math.floor(sum / 2 ** PRECISION));
        }
      }
    return out;
  }

  // Pillow resizes one axis, rounds, then the other; since version 13 the columns first where that shrinks a picture far
  // more. Older versions differ by a grey level there. The box is left, top, right, bottom.
  function resized(image, [height, width], box = [0, 0, image.width, image.height]) {
    const { channels } = image, [left, top, right, bottom] = box.map(Math.fround);
    const size = { height: image.height, width: image.width };
    let { data } = image;
    const rows = () => {
      if (width !== size.width || left || right !== width)
        data = resizedAxis(data, size.height, size.width, channels, left, right, width);
      size.width = width;
    };
    const columns = () => {
      if (height !== size.height || top || bottom !== height)
        data = resizedAxis(data, 1, size.height, size.width * channels, top, bottom, height);
      size.height = height;
    };
    const shorter = image.height - height, narrower = image.width - width;
    for (const pass of shorter > Math.max(0, 2 * narrower) ? [columns, rows] : [rows, columns]) pass();
    return { width, height, channels, data };
  }

  function scaled(image, [height, width]) {
    const tall = image.height * width > Math.max(MOST, image.height * image.width); // rows first would make it wide too
    return resized(tall ? resized(image, [height, image.width]) : image, [height, width]);
  }

  // A part of a picture, or a picture in the middle of a larger one, on a colour.
  function placed(image, [height, width], top, left, colour) {
    const { channels } = image, data = new Uint8Array(height * width * channels);
    for (let at = 0; at < data.length; at++) data[at] = colour[at % channels];
    for (let y = Math.max(0, -top); y < Math.min(image.height, height - top); y++) {
      const from = Math.max(0, -left), to = Math.min(image.width, width - left);
      const row = image.data.subarray((y * image.width + from) * channels, (y * image.width + to) * channels);
      data.set(row, ((y + top) * width + from + left) * channels);
    }
    return { width, height, channels, data };
  }

  function fitted(image, wanted, { resize, background }) {
    const old = [image.height, image.width];
    if (resize === "squeeze") return scaled(image, wanted);
    if (resize === "pad") {
      const within = scaled(image, inside(old, wanted)), colour = background ?? [0, 0, 0];
      const top = (wanted[0] - within.height) >> 1, left = (wanted[1] - within.width) >> 1;
      return placed(within, wanted, top, left, image.channels === 1 ? [grey(colour)] : colour);
    }
    const covered = covering(old, wanted), [top, left] = centre(covered, wanted);
    if (covered[0] * covered[1] > Math.max(MOST, 16 * wanted[0] * wanted[1])) {
      const [down, right] = [old[0] / covered[0], old[1] / covered[1]]; // a strip, whose ends are not resized with it
      return resized(image, wanted, [left * right, top * down, (left + wanted[1]) * right, (top + wanted[0]) * down]);
    }
    return placed(scaled(image, covered), wanted, -top, -left, [0, 0, 0]);
  }

  // ---- all of it ----

  const refusal = (message) => Object.assign(new Error(message), { refused: true });

  async function upright(file, channels, reading) {
    const bytes = new Uint8Array(await file.arrayBuffer()), orientation = takeOrientation(bytes);
    checkLevels(bytes, reading.levels);
    const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    const bitmap = await createImageBitmap(new Blob([bytes], { type: file.type }), options).catch(() => {
      throw refusal("this is no image that this browser can read; give a JPEG, PNG, WebP, GIF or BMP");
    });
    try {
      if (bitmap.width * bitmap.height > reading.max_pixels)
        throw refusal(`the image has more than the ${reading.max_pixels} pixels that are allowed`);
      const image = (channels === 1 && (await luma(bytes))) || shown(rgba(bitmap), bitmap, channels, reading.background);
      return turned(image, reading.orientation === "exif" ? orientation : 1);
    } finally {
      bitmap.close();
    }
  }

  // A browser gives the upper 8 bits of 16, whatever black and white are.
  function checkLevels(bytes, levels) {
    const sixteen = ascii(bytes, 1, 3) === "PNG" && bytes[24] === 16 && [0, 4].includes(bytes[25]);
    const usual = !levels || levels === "clip" || (levels[0] === 0 && levels[1] === 65535);
    if (sixteen && !usual) throw refusal(`the image has 16 bits, and black and white at ${levels.join(" and ")}: a browser cannot read that`);
  }

  // float32 of (channels, height, width), normalised; `data` is that of export.json.
  async function prepared(file, { channels, size, mean, std, reading }) {
    const image = fitted(await upright(file, channels, reading), size, reading), pixels = size[0] * size[1];
    const numbers = new Float32Array(channels * pixels), { fround } = Math;
    for (let c = 0; c < channels; c++) {
      const factor = fround(1 / (255 * std[c])), shift = fround(mean[c] / std[c]);
      for (let at = 0; at < pixels; at++) numbers[c * pixels + at] = fround(fround(image.data[at * channels + c] * factor) - shift);
    }
    return numbers;
  }

  return { prepared };
})();
