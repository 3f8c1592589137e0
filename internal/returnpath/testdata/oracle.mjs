// Reads JSON lines {"base": origin, "s": address} and answers each with {"plain": …, "rebuilt": …}:
// the origin to which a browser on a page of base goes for s, and the first foreign origin (or
// else that of base) to which any address built again from s leads. "invalid" is no address.
import { createInterface } from "node:readline";

const attempt = (f, otherwise) => {
  try {
    return f();
  } catch {
    return otherwise;
  }
};
const resolve = (s, base) => attempt(() => new URL(s, base + "/dir/page"), null);
const origin = (u) => (u === null ? "invalid" : u.origin === "null" ? u.protocol : u.origin);

// As text, and byte by byte, which works for what is not UTF-8 too.
const decodings = (s) => [attempt(() => decodeURIComponent(s), s), attempt(() => decodeURI(s), s), unescape(s)];

function* rebuilt(s, base) {
  const url = resolve(s, base);
  if (url === null) return;
  const tail = url.search + url.hash;
  const seen = new Set();
  let layer = [s, url.pathname + tail, url.pathname];
  for (let depth = 0; depth < 6; depth++) {
    const below = [];
    for (const t of layer) {
      if (seen.has(t)) continue;
      seen.add(t);
      const unparametered = t.replace(/;[^/]*/g, "");
      for (const v of [t, t + tail, attempt(() => encodeURI(t), t), t.trim(), t.normalize(), unparametered]) {
        yield v;
        const u = resolve(v, base);
        if (u !== null && u.origin === base) yield u.pathname + u.search + u.hash;
      }
      below.push(...decodings(t));
    }
    layer = below;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { base, s } = JSON.parse(line);
  let worst = base;
  for (const t of rebuilt(s, base)) {
    const o = origin(resolve(t, base));
    if (o !== base) {
      worst = o;
      break;
    }
  }
  console.log(JSON.stringify({ plain: origin(resolve(s, base)), rebuilt: worst }));
}
