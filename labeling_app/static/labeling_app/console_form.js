// The right side: the answer's controls, how sure one is, notes; which control the keys go to, and what is wrong.

import { el, icon, kbd, plural } from "./console_dom.js";
import { gathered, makeControl, spread } from "./console_controls.js";
import { problems } from "./console_value.js";

const STEPS = [
  [0.2, "guess"],
  [0.4, "unsure"],
  [0.6, "fairly sure"],
  [0.8, "sure"],
  [1, "certain"],
];
const PICKED = ["choice", "class", "boolean"];

/** `changed({picked})` is called when the person changes something; picked tells that an answer was picked. */
export function makeForm({ controls, keys, fieldPath, changed }) {
  const single = controls.length === 1 && controls[0].path.length === 0 ? controls[0] : null;
  const parts = controls.map((control) => makeControl(control, { changed: (how) => touched(how) }));
  const flat = flattened(parts);
  const sure = makeSure(keys.confidence, () => touched({}));
  const notes = makeNotes(keys.notes, () => touched({}));
  const all = [...flat, sure];
  const summary = el("div", { class: "gd-sr", role: "alert" });
  const element = el("div", { class: "lc-form" }, ...parts.map((part) => part.element), el("div", { class: "lc-more" }, sure.element, notes.element), summary);
  let active = null;
  let others = {};

  element.addEventListener("focusin", (event) => {
    const part = all.find((one) => (one.inner || one.element).contains(event.target) && !one.parts);
    if (part) activate(part);
  });

  function touched(how) {
    for (const part of flat) part.tell("");
    changed(how);
    if (how.picked) moveOn();
  }

  function activate(part) {
    if (active === part) return;
    if (active) active.element.classList.remove("lc-active");
    active = part;
    if (active && all.length > 2) active.element.classList.add("lc-active");
    for (const one of flat) one.element.classList.toggle("lc-keys-off", [...one.keys.keys()].some((key) => receiver(key) !== one));
  }

  /**
   * The control that a key goes to now: the active one, or else the only other that has it. A digit leaves a control
   * with keys of its own for no other: a slip must not answer what nobody looks at.
   */
  function receiver(key) {
    if (active && active.keys.has(key)) return active;
    if (active && active.keys.size && /^[0-9]$/.test(key)) return null;
    const others = flat.filter((part) => part !== active && part.keys.has(key));
    return others.length === 1 ? others[0] : null;
  }

  /** After a pick the keys go to the next control that must be answered and is not. */
  function moveOn() {
    const next = flat.find((part) => !part.parts && part.control.required && part.get() === undefined);
    if (!next || next === active) return;
    activate(next);
    next.element.scrollIntoView({ block: "nearest" });
    if (!next.keys.size) next.focus();
  }

  const form = { element, single };

  form.value = () => {
    if (single) return parts[0].get();
    const value = { ...others, ...gathered(parts) };
    return Object.keys(value).length ? value : undefined;
  };
  form.confidence = () => sure.get();
  form.notes = () => notes.get();

  form.fill = ({ value, confidence = null, notes: text = "" }) => {
    if (single) parts[0].set(value);
    else others = spread(parts, value);
    sure.set(confidence);
    notes.set(text);
    for (const part of flat) part.tell("");
  };

  /** Fill in another answer and leave confidence and notes as they are. */
  form.fillValue = (value) => form.fill({ value, confidence: sure.get(), notes: notes.get() });

  form.begin = () => {
    if (active) active.element.classList.remove("lc-active");
    active = null;
    const first = flat.find((part) => !part.parts && part.control.required && part.get() === undefined) || flat.find((part) => !part.parts);
    if (!first) return;
    activate(first);
    if (first.startsInBox) first.focus();
  };

  /** Tell at each control what is wrong; returns whether the answer may be sent. */
  form.check = () => {
    const found = single ? problems(single, parts[0].get(), []) : [].concat(...parts.map((part) => problems(part.control, part.get())));
    return tellAll(found);
  };

  /** Tell what the server found wrong: [{path: "$.output.tier", message, expected}]. */
  form.tellServer = (violations) => {
    const found = violations.map((one) => ({ path: serverPath(one.path, fieldPath), message: `Found ${one.found}, expected ${one.expected}.` }));
    tellAll(found);
  };

  function tellAll(found) {
    for (const part of flat) part.tell("");
    const told = new Set();
    for (const { path, message } of found) {
      const part = deepest(path);
      if (!part || told.has(part)) continue;
      told.add(part);
      part.tell(message);
    }
    summary.textContent = found.length ? `${plural(found.length, "thing is", "things are")} not right yet.` : "";
    const first = flat.find((part) => told.has(part));
    if (first) {
      activate(first);
      first.focus();
      first.element.scrollIntoView({ block: "nearest" });
    }
    return found.length === 0;
  }

  function deepest(path) {
    const wanted = path.filter((step) => typeof step === "string");
    const fits = (part) => part.control.path.every((step, at) => step === wanted[at]);
    return flat.filter(fits).sort((a, b) => b.control.path.length - a.control.path.length)[0] || flat[0];
  }

  /** Return what a key does in the form, or null. */
  form.keyAction = (key) => {
    const part = receiver(key);
    return part ? part.keys.get(key) : null;
  };

  form.sure = () => {
    activate(sure);
    sure.focus();
  };
  form.note = () => notes.open();
  form.hasText = () => flat.some((part) => !part.parts && !PICKED.includes(part.control.kind));
  form.onePick = () => flat.length === 1 && PICKED.includes(flat[0].control.kind);
  return form;
}

function flattened(parts) {
  return [].concat(...parts.map((part) => [part, ...(part.control.kind === "group" ? flattened(part.parts) : [])]));
}

/** The steps from the answer to what "$.output.tier" names; an answer may itself be a part of the output. */
function serverPath(text, fieldPath) {
  const steps = [...String(text).matchAll(/\.([^.[\]]+)|\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]/g)].map((step) => (step[3] !== undefined ? Number(step[3]) : step[1] ?? step[2]));
  const skipped = steps[0] === "output" ? 1 + (fieldPath ? fieldPath.split(".").length : 0) : 0;
  return steps.slice(skipped);
}

/** Five steps from a guess to certain; none when nobody says. */
function makeSure(key, changed) {
  let value = null;
  const buttons = STEPS.map(([step, title], at) => {
    const button = el("button", { type: "button", class: "lc-step", role: "radio", "aria-checked": "false", title: `${title} (${at + 1})` }, el("span", { class: "lc-step-bar" }), el("span", { class: "lc-step-title" }, title));
    button.addEventListener("click", () => pick(step));
    return button;
  });
  const group = el("div", { class: "lc-steps", role: "radiogroup", "aria-labelledby": "lc-sure-label" }, ...buttons);
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement);
    buttons[(at + step + buttons.length) % buttons.length].focus();
  });
  const label = el("div", { class: "lc-label" }, el("span", { id: "lc-sure-label" }, "How sure are you?"), el("span", { class: "lc-optional" }, "optional"), kbd(key));
  const element = el("section", { class: "lc-control lc-sure" }, label, group);

  function pick(step) {
    value = value === step ? null : step;
    draw();
    changed();
  }

  function draw() {
    buttons.forEach((button, at) => {
      button.setAttribute("aria-checked", String(STEPS[at][0] === value));
      button.classList.toggle("lc-upto", value !== null && STEPS[at][0] <= value);
      button.tabIndex = STEPS[at][0] === (value ?? STEPS[0][0]) ? 0 : -1;
    });
  }

  draw();
  return {
    control: { path: ["confidence"], required: false, kind: "steps" },
    element,
    inner: group,
    get: () => value,
    set(given) {
      // confidence of other origins lies between the steps: the nearest is shown, the value stays
      const near = given === null || given === undefined ? null : STEPS.map(([step]) => step).sort((a, b) => Math.abs(a - given) - Math.abs(b - given))[0];
      value = near;
      draw();
      value = given ?? null;
    },
    focus: () => buttons.find((button) => button.tabIndex === 0).focus(),
    tell: () => {},
    keys: new Map([...STEPS.map(([step], at) => [String(at + 1), () => pick(step)]), ["0", () => pick(value)]]),
  };
}

function makeNotes(key, changed) {
  const box = el("textarea", { class: "lc-input lc-text", rows: 2, id: "lc-notes", maxlength: 10000, "data-lines": "many" });
  const button = el("button", { type: "button", class: "lc-add-note" }, icon("edit_note"), "Add a note", kbd(key));
  const label = el("div", { class: "lc-label" }, el("label", { for: "lc-notes" }, "Note"), el("span", { class: "lc-optional" }, "optional"));
  const body = el("div", { hidden: true }, label, box);
  const element = el("section", { class: "lc-control lc-notes" }, button, body);
  box.addEventListener("input", changed);
  button.addEventListener("click", open);
  box.addEventListener("blur", () => show(Boolean(box.value)));

  function show(visible) {
    body.hidden = !visible;
    button.hidden = visible;
  }

  function open() {
    show(true);
    box.focus();
  }

  return {
    element,
    open,
    get: () => box.value,
    set(text) {
      box.value = text || "";
      show(Boolean(text));
    },
  };
}
