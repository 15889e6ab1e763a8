// Small things that every part of the console needs: elements, words for values, announcements.

/** Make an element. Attributes that are false or null are left out; `on` is {event: handler}; text is never HTML. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A glyph of the icon font; it says nothing to a screen reader. */
export function icon(name) {
  return el("span", { class: "material-symbols-outlined", "aria-hidden": "true" }, name);
}

/** A key as it is drawn. On a button a screen reader has it from aria-keyshortcuts, so it is `hidden` in the name. */
export function kbd(key, hidden = true) {
  return el("kbd", { class: "lc-kbd", "aria-hidden": hidden ? "true" : null }, keyName(key));
}

const KEY_NAMES = { Enter: "↵", Backspace: "⌫", Escape: "Esc", Space: "Space" };
export function keyName(key) {
  return KEY_NAMES[key] || (key.length === 1 ? key.toUpperCase() : key);
}

/** A random UUID, also where the page is not served over TLS and crypto.randomUUID is missing. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Tell whether two JSON values are the same, whatever the order of keys. */
export function same(a, b) {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 12 });
/** A number as people read it; up to four digits stay as they are, because they may be a year. */
export function numberText(value) {
  if (Number.isInteger(value) && Math.abs(value) < 10000) return String(value);
  return Math.abs(value) >= 1e15 || (value !== 0 && Math.abs(value) < 1e-6) ? String(value) : grouped.format(value);
}

export function scalarText(value) {
  if (value === null || value === undefined) return "none";
  if (value === true) return "yes";
  if (value === false) return "no";
  return typeof value === "number" ? numberText(value) : String(value);
}

/** An answer in one line: "A", or "tier: A · confidence: 0.8"; its fields in the order of `names`. */
export function answerText(value, most = 140, names = []) {
  const text = line(names.length && value && typeof value === "object" && !Array.isArray(value) ? ordered(value, names) : value);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function ordered(value, names) {
  const first = names.filter((name) => Object.hasOwn(value, name));
  return Object.fromEntries([...first, ...Object.keys(value).filter((name) => !first.includes(name))].map((name) => [name, value[name]]));
}

function line(value) {
  if (Array.isArray(value)) return value.map(line).join(", ") || "none";
  if (value && typeof value === "object") {
    const parts = Object.entries(value);
    if (parts.length === 1) return line(parts[0][1]);
    return parts.map(([name, part]) => `${name.replaceAll("_", " ")}: ${line(part)}`).join(" · ") || "none";
  }
  return scalarText(value);
}

let place = null;
let turn = 0;
/** Tell a screen reader; what is said twice in a row is read twice. */
export function announce(text) {
  place = place || document.getElementById("lc-live");
  if (place) place.textContent = text + (turn++ % 2 ? "\u00a0" : "");
}

/** Put text on the clipboard; where the browser forbids it, select it so that the person can. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = el("textarea", { class: "gd-sr" });
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  button.textContent = "Copied";
  announce("Copied");
}

export function plural(count, one, many = `${one}s`) {
  return `${numberText(count)} ${count === 1 ? one : many}`;
}

/** A time span as people say it: "45 s", "12 min", "3 h". */
export function spanText(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
