// Controls of an answer, one per kind; those that are picked from are in console_picks.js. Each is
// {control, element, get() → value or undefined, set(value), focus(), keys: Map(key → action), parts: controls in it}.

import { el, icon, same } from "./console_dom.js";
import { makeBoolean, makeChoice, makeToggles } from "./console_picks.js";

let serial = 0;

/** Make a control with its title, description and a place for what is wrong. `changed({picked})` is called at each change. */
export function makeControl(control, { changed, plain = false }) {
  const id = `lc-c${serial++}`;
  const context = { labelId: `${id}-label`, changed };
  const part = MAKERS[control.kind](control, context);
  const problem = el("p", { class: "lc-problem", id: `${id}-problem`, hidden: true });
  const isGroup = ["group", "list"].includes(control.kind);
  const optional = !control.required && !plain;
  const title = el("span", { id: context.labelId }, control.title);
  const label = el("div", { class: plain ? "gd-sr" : "lc-label" }, title, optional ? el("span", { class: "lc-optional" }, "optional") : null);
  const about = control.description ? el("p", { class: "lc-about" }, control.description) : null;
  const frame = el(
    "section",
    { class: `lc-control lc-control-${control.kind}${isGroup ? " lc-nest" : ""}`, role: isGroup ? "group" : null, "aria-labelledby": isGroup ? context.labelId : null },
    label,
    plain ? null : about,
    part.element,
    problem,
  );

  part.inner = part.element;
  part.element = frame;
  part.tell = (message) => {
    problem.hidden = !message;
    problem.textContent = message || "";
    frame.classList.toggle("lc-wrong", Boolean(message));
    for (const box of frame.querySelectorAll("input, textarea, [role=radiogroup], [role=combobox]")) {
      if (message) {
        box.setAttribute("aria-invalid", "true");
        box.setAttribute("aria-describedby", problem.id);
      } else {
        box.removeAttribute("aria-invalid");
        box.removeAttribute("aria-describedby");
      }
    }
  };
  return part;
}

const MAKERS = {
  choice: makeChoice,
  class: makeChoice,
  boolean: makeBoolean,
  toggles: makeToggles,
  scale: makeScale,
  number: makeNumber,
  text: makeText,
  tags: makeTags,
  list: makeList,
  group: makeGroup,
  json: makeJson,
};

const noKeys = () => new Map();

/** A text box that grows with what is in it. Enter submits a short text, makes a line in a long one. */
function makeText(control, context) {
  const box = el("textarea", {
    class: `lc-input lc-text${control.long ? " lc-text-long" : ""}`,
    rows: control.long ? 4 : 1,
    "aria-labelledby": context.labelId,
    "data-lines": control.long ? "many" : "one",
  });
  box.addEventListener("input", () => context.changed({}));
  return {
    control,
    element: box,
    // an empty text is no answer, unless the schema asks for the key and allows it to be empty
    get: () => box.value || (control.nullable && control.required ? null : undefined),
    set: (value) => {
      box.value = typeof value === "string" ? value : "";
    },
    focus: () => box.focus({ preventScroll: true }),
    keys: noKeys(),
  };
}

function makeNumber(control, context) {
  const box = numberBox(control, context);
  box.addEventListener("input", () => context.changed({}));
  return {
    control,
    element: box,
    get: () => numberIn(box, control),
    set: (value) => {
      box.value = typeof value === "number" ? String(value) : "";
    },
    focus: () => box.focus({ preventScroll: true }),
    keys: noKeys(),
  };
}

function numberBox(control, context) {
  const { low, high } = ends(control);
  return el("input", {
    class: "lc-input lc-number",
    type: "number",
    inputmode: control.integer && !(low < 0) ? "numeric" : "decimal",
    min: low,
    max: high,
    step: control.step || (control.integer ? 1 : "any"),
    "aria-labelledby": context.labelId,
  });
}

function ends({ minimum, maximum, above, below }) {
  return { low: minimum ?? above, high: maximum ?? below };
}

function numberIn(box, control) {
  if (box.validity.badInput) return Number.NaN; // told as "give a number"
  if (box.value === "") return control.nullable && control.required ? null : undefined;
  return Number(box.value);
}

/** A slider and a box for the same number. */
function makeScale(control, context) {
  const { low, high } = ends(control);
  const box = numberBox(control, context);
  const step = control.step || (control.integer ? 1 : niceStep(high - low));
  const slider = el("input", {
    class: "lc-slider lc-unset",
    type: "range",
    min: low,
    max: high,
    step,
    "aria-label": `${control.title}, slider`,
  });
  slider.addEventListener("input", () => {
    box.value = slider.value;
    follow();
    context.changed({});
  });
  box.addEventListener("input", () => {
    follow();
    context.changed({});
  });
  function follow() {
    slider.classList.toggle("lc-unset", box.value === "");
    slider.value = box.value === "" ? String((low + high) / 2) : box.value;
    slider.style.setProperty("--at", `${((Number(slider.value) - low) / (high - low)) * 100}%`);
  }
  const element = el(
    "div",
    { class: "lc-scale" },
    el("div", { class: "lc-scale-line" }, slider, el("div", { class: "lc-scale-ends", "aria-hidden": "true" }, el("span", {}, String(low)), el("span", {}, String(high)))),
    box,
  );
  follow();
  return {
    control,
    element,
    get: () => numberIn(box, control),
    set: (value) => {
      box.value = typeof value === "number" ? String(value) : "";
      follow();
    },
    focus: () => box.focus({ preventScroll: true }),
    keys: noKeys(),
  };
}

function niceStep(width) {
  return 10 ** Math.floor(Math.log10(width / 50));
}

/** Words of one's own: Enter or a comma adds, Backspace in the empty box takes the last away. */
function makeTags(control, context) {
  let words = [];
  let touched = false;
  const box = el("input", { class: "lc-tag-box", type: "text", "aria-labelledby": context.labelId, placeholder: "Add, then Enter", autocomplete: "off" });
  const chips = el("div", { class: "lc-tags" }, box);
  chips.addEventListener("click", (event) => event.target === chips && box.focus());

  function draw() {
    chips.replaceChildren(
      ...words.map((word, at) => {
        const remove = el("button", { type: "button", class: "lc-x", "aria-label": `Remove ${word}` }, icon("close"));
        remove.addEventListener("click", () => put(words.filter((_, index) => index !== at)));
        return el("span", { class: "lc-tag" }, word, remove);
      }),
      box,
    );
  }

  function put(next) {
    words = next;
    touched = true;
    draw();
    box.focus();
    context.changed({});
  }

  function add() {
    const word = box.value.trim();
    if (!word) return false;
    box.value = "";
    if (control.must_differ && words.includes(word)) return true;
    put([...words, word]);
    return true;
  }

  box.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if ((event.key === "Enter" && !event.ctrlKey && !event.metaKey) || event.key === ",") {
      if (event.key === "," || box.value.trim()) {
        event.preventDefault();
        event.stopPropagation();
        add();
      }
    } else if (event.key === "Backspace" && !box.value && words.length) put(words.slice(0, -1));
  });
  box.addEventListener("blur", add);
  box.addEventListener("input", () => context.changed({}));
  return {
    control,
    element: chips,
    get() {
      const written = box.value.trim();
      const all = written ? [...words, written] : words;
      return all.length || (control.required && touched) ? [...all] : undefined;
    },
    set(value) {
      words = Array.isArray(value) ? value.filter((word) => typeof word === "string") : [];
      touched = Array.isArray(value);
      box.value = "";
      draw();
    },
    focus: () => box.focus({ preventScroll: true }),
    keys: noKeys(),
  };
}

/** Entries of any kind, one below the other. */
function makeList(control, context) {
  let entries = [];
  let touched = false;
  const rows = el("ol", { class: "lc-entries" });
  const add = el("button", { type: "button", class: "gd-button gd-button-small" }, icon("add"), "Add");
  add.addEventListener("click", () => {
    touched = true;
    append(undefined);
    entries.at(-1).part.focus();
    context.changed({});
  });

  function append(value) {
    const part = makeControl({ ...control.item, title: `${control.title} ${entries.length + 1}` }, { changed: () => context.changed({}), plain: true });
    if (value !== undefined) part.set(value);
    const remove = el("button", { type: "button", class: "lc-x", "aria-label": `Remove entry ${entries.length + 1}` }, icon("close"));
    const row = el("li", {}, part.element, remove);
    const entry = { part, row };
    remove.addEventListener("click", () => {
      entries = entries.filter((one) => one !== entry);
      row.remove();
      touched = true;
      context.changed({});
    });
    entries.push(entry);
    rows.append(row);
  }

  return {
    control,
    element: el("div", { class: "lc-stack" }, rows, add),
    get() {
      const values = entries.map((entry) => entry.part.get()).filter((value) => value !== undefined);
      return values.length || (control.required && touched) ? values : undefined;
    },
    set(value) {
      entries = [];
      rows.replaceChildren();
      touched = Array.isArray(value);
      for (const one of Array.isArray(value) ? value : []) append(one);
    },
    focus: () => (entries.length ? entries[0].part.focus() : add.focus()),
    keys: noKeys(),
    get parts() {
      return entries.map((entry) => entry.part);
    },
  };
}

/** Fields that belong together. */
function makeGroup(control, context) {
  const parts = control.children.map((child) => makeControl(child, { changed: context.changed }));
  let others = {}; // what the answer holds beside the fields of the schema is not lost
  return {
    control,
    element: el("div", { class: "lc-group" }, ...parts.map((part) => part.element)),
    get() {
      const value = { ...others, ...gathered(parts) };
      return Object.keys(value).length || control.required ? value : undefined;
    },
    set(value) {
      others = spread(parts, value);
    },
    focus: () => parts[0] && parts[0].focus(),
    keys: noKeys(),
    parts,
  };
}

/** Collect the values of fields into an object. */
export function gathered(parts) {
  const value = {};
  for (const part of parts) {
    const one = part.get();
    if (one !== undefined) value[part.control.path.at(-1)] = one;
  }
  return value;
}

/** Hand the parts of an object out to fields; return what has no field. */
export function spread(parts, value) {
  const object = value && typeof value === "object" && !Array.isArray(value) ? value : {};
  const names = parts.map((part) => part.control.path.at(-1));
  parts.forEach((part, at) => part.set(object[names[at]]));
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

/** What the schema leaves open: JSON, checked as it is typed. */
function makeJson(control, context) {
  const box = el("textarea", { class: "lc-input lc-text lc-json", rows: 3, spellcheck: "false", "aria-labelledby": context.labelId, "data-lines": "many", placeholder: "JSON, or plain text" });
  let kept; // the value that was set, while nobody changes it
  box.addEventListener("input", () => {
    kept = undefined;
    context.changed({});
  });
  return {
    control,
    element: box,
    get() {
      if (kept !== undefined) return kept;
      if (!box.value.trim()) return undefined;
      try {
        return JSON.parse(box.value);
      } catch {
        return box.value; // plain text stands for itself; the server checks it
      }
    },
    set(value) {
      kept = value;
      box.value = value === undefined ? "" : typeof value === "string" && !looksLikeJson(value) ? value : JSON.stringify(value, null, 2);
    },
    focus: () => box.focus({ preventScroll: true }),
    keys: noKeys(),
  };
}

function looksLikeJson(text) {
  try {
    return !same(JSON.parse(text), text);
  } catch {
    return false;
  }
}
