// DAG-CBOR as values, for looking at what an object says. The node checks objects; this only shows them.

const depthMax = 64;
const letters = "abcdefghijklmnopqrstuvwxyz234567";

/** The value of a block's bytes; links become { "/": CID }. */
export function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = new TextDecoder("utf-8", { fatal: true });
  let at = 0;
  const take = (length) => {
    if (!(length >= 0) || at + length > bytes.length) throw Error("The object ends too early.");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const argument = (low) => {
    if (low < 24) return low;
    const from = at;
    switch (low) {
      case 24:
        take(1);
        return view.getUint8(from);
      case 25:
        take(2);
        return view.getUint16(from);
      case 26:
        take(4);
        return view.getUint32(from);
      case 27: {
        take(8);
        const value = view.getBigUint64(from);
        return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
      }
      default:
        throw Error("The object has a length that DAG-CBOR does not know.");
    }
  };
  const value = (depth) => {
    if (depth > depthMax) throw Error("The object is too deep.");
    const [first] = take(1);
    const [major, low] = [first >> 5, first & 31];
    if (major === 7) {
      if (low === 20 || low === 21) return low === 21;
      if (low === 22) return null;
      if (low === 27) {
        take(8);
        return view.getFloat64(at - 8);
      }
      throw Error("The object has a value that DAG-CBOR does not know.");
    }
    const count = argument(low);
    switch (major) {
      case 0:
        return count;
      case 1:
        return typeof count === "bigint" ? -1n - count : -1 - count;
      case 2:
        return { "/": { bytes: base64(take(Number(count))) } };
      case 3:
        return text.decode(take(Number(count)));
      case 4: {
        const list = [];
        for (let left = Number(count); left > 0; left -= 1) list.push(value(depth + 1));
        return list;
      }
      case 5: {
        const map = Object.create(null);
        for (let left = Number(count); left > 0; left -= 1) {
          const key = value(depth + 1);
          map[String(key)] = value(depth + 1);
        }
        return map;
      }
      default: {
        const [head] = take(1);
        const length = argument(head & 31);
        return { "/": `b${base32(take(Number(length)).subarray(1))}` };
      }
    }
  };
  return value(0);
}

function base64(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/=+$/, "");
}

function base32(bytes) {
  let [text, held, bits] = ["", 0, 0];
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      text += letters[(held >> (bits - 5)) & 31];
      bits -= 5;
    }
    held &= (1 << bits) - 1;
  }
  if (bits > 0) text += letters[(held << (5 - bits)) & 31];
  return text;
}