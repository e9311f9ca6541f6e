// Numbers, times and names as people read them.

const grouped = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const number = (value) => (value === undefined || value === null ? "" : grouped.format(value));
export const tokens = (value) => (value === undefined || value === null ? "" : `${number(value)} tk`);
/** An amount of a unit's smallest parts as people write it: 250 with 2 decimals is 2.50. */
export function amount(parts, { unit, decimals }) {
  const digits = String(Math.abs(parts)).padStart(decimals + 1, "0");
  const whole = number(Number(digits.slice(0, digits.length - decimals)));
  const rest = decimals > 0 ? `.${digits.slice(digits.length - decimals)}` : "";
  return `${parts < 0 ? "−" : ""}${whole}${rest}${unit === undefined ? "" : ` ${tame(unit, 16)}`}`;
}

/** The smallest parts of what somebody wrote; it says so where that is no amount. */
export function parsed(text, decimals) {
  const found = /^(\d+)(?:\.(\d+))?$/.exec(text.trim());
  const rest = found?.[2] ?? "";
  const parts = found && rest.length <= decimals ? Number(found[1] + rest.padEnd(decimals, "0")) : NaN;
  if (Number.isSafeInteger(parts)) return parts;
  throw Error(`“${tame(text, 40)}” is no amount: digits, with at most ${plural(decimals, "decimal")}.`);
}

/** What a job costs: in the unit of the issuer that pays for it, else in tokens. */
export const price = (value, job) => (job?.unit === undefined || value === undefined ? tokens(value) :
  amount(value, job));
export const plural = (count, word, many = `${word}s`) => `${number(count)} ${count === 1 ? word : many}`;

/** A large number short: 12,340 → 12.3k. */
export function brief(value) {
  for (const [size, unit] of [
      [1e12, "T"],
      [1e9, "G"],
      [1e6, "M"],
      [1e4, "k"]
    ]) {
    if (value >= size) {
      const scaled = value / (unit === "k" ? 1e3 : size);
      return `${scaled.toFixed(scaled < 100 ? 1 : 0).replace(/\.0$/, "")}${unit}`;
    }
  }
  return number(value);
}

export function bytes(value) {
  if (value === undefined || value === null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let scaled = value;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${unit > 0 && scaled < 10 ? scaled.toFixed(1).replace(/\.0$/, "") : Math.round(scaled)} ${units[unit]}`;
}

export function duration(milliseconds) {
  if (milliseconds === undefined || milliseconds === null) return "";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return trimmed(`${minutes} min`, Math.floor(seconds % 60), "s");
  if (minutes < 48 * 60) return trimmed(`${Math.floor(minutes / 60)} h`, minutes % 60, "min");
  return `${Math.floor(minutes / 1440)} days`;
}

const trimmed = (large, rest, unit) => (rest === 0 ? large : `${large} ${rest} ${unit}`);

export const time = (at) => clock.format(at);
export const dayOf = (at) => day.format(at);
export const date = (at) => (at ? full.format(at) : "");

/** Today's times as a clock, others with the day. */
export function when(at) {
  if (!at) return "";
  return new Date(at).toDateString() === new Date().toDateString() ? time(at) : `${dayOf(at)}, ${time(at)}`;
}

/** The end of a CID or DID, as the command line shows it. */
export const short = (text) => (text ? `…${text.slice(-8)}` : "");

/** A text of a stranger on one line and of a bearable length; what turns or hides text becomes visible. */
export function tame(text, most = 120) {
  const plain = String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
    "\ufffd");
  return plain.length > most ? `${plain.slice(0, most)}…` : plain;
}

/** A text of several lines, the same otherwise. */
export const tameLines = (text) =>
  text.replace(/\r\n?/g, "\n")
  .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");

/** The beginning of a day in UTC, such as 2026-12-01, in milliseconds. */
export function midnight(text) {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : NaN;
  if (Number.isNaN(time)) throw Error("A date looks like 2026-12-01.");
  return time;
}
